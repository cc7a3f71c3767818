"""A check that cannot fail proves nothing: NaN fails each."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from lensctl.rules import checks

NAN, INF = float("nan"), float("inf")


@dataclass
class Estimate:
    value: float | None = 0.5
    low: float | None = 0.4
    high: float | None = 0.6
    n: int = 10


@pytest.mark.parametrize("judge", [checks.share, checks.meets])
def test_a_value_within_bounds_passes(judge):
    assert judge("gate", "check", Estimate(), (0.4, 0.6)).passed


@pytest.mark.parametrize("value", [NAN, INF, -INF, None])
@pytest.mark.parametrize("judge", [checks.share, checks.meets])
def test_a_value_that_is_no_number_fails(judge, value):
    assert not judge("gate", "check", Estimate(value), (0.4, 0.6)).passed
    assert not judge("gate", "check", Estimate(value, None, None), (0.4, 0.6)).passed


@pytest.mark.parametrize(("low", "high"), [(NAN, 0.6), (0.4, NAN), (NAN, NAN)])
def test_an_interval_that_is_none_fails(low, high):
    assert not checks.meets("gate", "check", Estimate(0.5, low, high), (0.4, 0.6)).passed


@pytest.mark.parametrize("bounds", [(NAN, 0.6), (0.4, NAN)])
@pytest.mark.parametrize("judge", [checks.share, checks.meets])
def test_a_bound_that_is_none_fails(judge, bounds):
    assert not judge("gate", "check", Estimate(), bounds).passed


def test_names_that_are_not_utf8_can_be_written():
    """Half a character of a damaged JSON file; as an escape it is JSON again."""
    line = checks.Check("g", "c", False, "\ud800", offenders=("caf\udce9", "caf\u00e9")).as_json()
    assert json.loads(line.encode("utf-8").decode("utf-8"))["offenders"] == ["caf\udce9", "caf\u00e9"]
    assert "caf\u00e9" in line
