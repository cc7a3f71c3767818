"""A search killed as it goes: what it had done is kept, and the result is that of a search in one go."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from lensctl.search import search
from tests.toys import searches
from tests.toys.folders import folder_digest

pytestmark = pytest.mark.usefixtures("tiny_network")
COMMAND = ["search", "frozen", "t.parquet", "out", "--root", "sky", "--device", "cpu", "--keep", 30, "--hats"]
COMMAND += ["--lenses", "lenses.csv"]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 rows, here and in processes that `searches.command` starts."""
    monkeypatch.setattr("lensctl.io.imaging.streaming.BLOCK_BYTES", 1)
    monkeypatch.setenv("LENSCTL_TEST_BLOCK_BYTES", "1")


def whole(here: Path) -> str:
    """Digest of the search in one go, at the same path."""
    search("frozen", "t.parquet", "out", root="sky", device="cpu", workers=1, keep=30, hats=True, lenses="lenses.csv")
    digest = folder_digest("out")
    (here / "out").rename(here / "kept")
    return digest


def done(here: Path) -> int:
    return len(list((here / ".out.part" / "parts").glob("scored-*")))


def killed(here: Path, workers: int, when) -> bool:
    """Start the command, and kill it once something holds; whether it was killed before its end."""
    running = searches.command(*COMMAND, "--workers", workers, cwd=here)
    while running.poll() is None and not when():
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    return running.returncode == -signal.SIGKILL


@pytest.mark.usefixtures("small_blocks")
def test_a_search_killed_twice_is_resumed_to_the_same_bytes(here):
    wanted = whole(here)
    assert killed(here, 1, lambda: done(here) >= 1)
    first = done(here)
    assert killed(here, 2, lambda: any((here / ".out.part" / "whole").glob("*.fits")))  # as it is finished
    assert done(here) == 5 > first
    assert not (here / "out").exists()
    search("frozen", "t.parquet", "out", root="sky", device="cpu", workers=1, keep=30, hats=True, lenses="lenses.csv")
    assert folder_digest("out") == wanted
    assert not (here / ".out.part").exists()


@pytest.mark.soak
@pytest.mark.usefixtures("small_blocks")
def test_a_search_killed_twenty_times_is_resumed_to_the_same_bytes(here):
    wanted, chance = whole(here), random.Random(7)
    kills = 0
    while kills < 20:
        until = time.monotonic() + chance.uniform(1.5, 9.0)
        if killed(here, chance.choice([1, 2]), lambda end=until: time.monotonic() > end):
            kills += 1
        else:
            assert folder_digest("out") == wanted
            shutil.rmtree(here / "out")
    search("frozen", "t.parquet", "out", root="sky", device="cpu", workers=2, keep=30, hats=True, lenses="lenses.csv")
    assert folder_digest("out") == wanted
