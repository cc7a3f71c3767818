"""A limit to what is read holds for all threads together."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.sync.throttle import Throttle
from tests.toys.sync import run


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=30), st.floats(0, 0.5))
def test_a_throttle_spaces_reads_to_its_rate(sizes, pause):
    now, waited = [100.0], []

    def wait(seconds):
        waited.append(seconds)
        now[0] += max(seconds, 0)

    throttle = Throttle(1e6, lambda: now[0])
    for size in sizes:
        throttle.take(size, wait)
        now[0] += pause
    spent = now[0] - 100 - pause * len(sizes)
    assert spent == pytest.approx(sum(sizes) / 1e6), "a pause between reads earns nothing for later"


def test_a_limit_holds_for_all_threads_together(tmp_path):
    (tmp_path / "from").mkdir()
    for i in range(12):
        (tmp_path / "from" / str(i)).write_bytes(bytes(50_000))
    began = time.monotonic()
    run(tmp_path / "from", tmp_path / "to", throttle=Throttle(1e6, time.monotonic))
    assert time.monotonic() - began > 0.55
