"""The rate of the last minute, and the time left by it."""

from __future__ import annotations

import pytest

from lensctl.cli.pace import Pace


def test_before_a_minute_it_is_the_rate_of_all_the_time():
    pace = Pace(100.0)
    assert pace.rate(100.0) == 0.0
    assert pace.left(10, 105.0) == ""
    for second in range(1, 11):
        pace.advance(20, 100.0 + second)
    assert pace.rate(110.0) == pytest.approx(20.0)
    assert pace.left(1200, 110.0) == "0:01:00 left"


def test_what_was_slow_more_than_a_minute_ago_counts_no_more():
    pace = Pace(0.0)
    for second in range(1, 301):
        pace.advance(1, float(second))
    for second in range(301, 401):
        pace.advance(50, float(second))
    assert pace.rate(400.0) == pytest.approx(50.0)


def test_a_pause_lowers_the_rate():
    pace = Pace(0.0)
    pace.advance(600, 10.0)
    assert pace.rate(60.0) == pytest.approx(10.0)


def test_it_remembers_no_more_than_a_minute():
    pace = Pace(0.0)
    for k in range(100_000):
        pace.advance(1, k * 0.01)
    assert len(pace._marks) < 65
