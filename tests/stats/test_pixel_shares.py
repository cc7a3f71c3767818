"""Shares of splits: honest data pass whatever the number of pixels, and what is wrong is still seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.rules import split
from lensctl.rules.survey import LS_DR10
from lensctl.stats.intervals import Estimate
from lensctl.stats.pixel_shares import MIN_PIXELS, shares, shares_of_groups

LIMITS = LS_DR10.share_limits
SKY = 12 * split.NSIDE**2


def honest(rng: np.random.Generator, pixels: int, scatter: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random pixels, their splits by the rule, and the rows in each, with a lognormal scatter."""
    chosen = rng.choice(SKY, pixels, replace=False)
    return chosen, split.splits_of(chosen), np.ceil(15 * rng.lognormal(0.0, scatter, pixels)).astype(int)


def outside(estimate: Estimate, limits: tuple[float, float]) -> bool:
    return estimate.low is not None and (estimate.low > limits[1] or estimate.high < limits[0])


@pytest.mark.parametrize(
    "samples", [pytest.param(150, id="short"), pytest.param(2_000, id="long", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("scatter", [0.0, 1.2])
@pytest.mark.parametrize("pixels", [15, 30, 100, 400])
def test_honest_samples_are_seldom_outside_the_limits(pixels, scatter, samples):
    """At most 5 % of honest samples have any of the three intervals wholly outside, whatever the rows a pixel has."""
    rng = np.random.default_rng(20 * pixels + int(scatter > 0))
    wrong = 0
    for _ in range(samples):
        chosen, names, rows = honest(rng, pixels, scatter)
        found = shares(chosen, names, split.SPLITS, rows).parts
        wrong += any(outside(found[name], LIMITS[name]) for name in found)
    assert wrong <= samples * 0.05 + 2 * np.sqrt(samples * 0.05)


@pytest.mark.parametrize("scatter", [0.0, 1.0])
def test_what_is_split_otherwise_is_outside(scatter):
    """A sample with 60/20/20 % of its pixels, and one wholly in train."""
    rng = np.random.default_rng(0)
    chosen, _, rows = honest(rng, 3_000, scatter)
    names = rng.choice(split.SPLITS, len(chosen), p=[0.55, 0.225, 0.225])
    found = shares(chosen, names, split.SPLITS, rows).parts
    assert all(outside(found[name], LIMITS[name]) for name in found)
    few, _, equal = honest(rng, 12, 0.0)
    found = shares(few, np.full(12, "train"), split.SPLITS, equal).parts
    assert outside(found["train"], LIMITS["train"])
    assert (found["val"].value, found["val"].low) == (0.0, 0.0)
    assert found["val"].high > 0.2, "of a split that no pixel is in, the interval is not 0 to 0"


@pytest.mark.parametrize(("pixels", "known"), [(11, False), (12, True)])
def test_with_too_few_pixels_there_is_no_interval(pixels, known):
    found = shares(np.arange(pixels), np.array(["train"] * (pixels - 2) + ["val", "test"]), split.SPLITS)
    assert found.have_intervals is known
    assert found.pixels == found.effective == pixels
    assert (found.parts["val"].low is not None) is known
    assert found.parts["val"].value == pytest.approx(1 / pixels)


def test_pixels_that_hold_nearly_all_rows_count_alone():
    rows = np.array([10_000, 10_000, *[1] * 98])
    found = shares(np.arange(100), np.full(100, "train"), split.SPLITS, rows)
    assert found.pixels == 100
    assert 2.0 < found.effective < 2.1 < MIN_PIXELS
    assert found.parts["train"].low is None


def test_groups_are_as_if_each_were_alone():
    rng = np.random.default_rng(0)
    pixels = rng.choice(SKY, 300)
    names, lens = split.splits_of(pixels), rng.random(300) < 0.1
    groups = {"all": np.ones(300, bool), "lenses": lens, "few": np.arange(300) < 5, "none": np.zeros(300, bool)}
    for group, found in shares_of_groups(pixels, names, split.SPLITS, groups).items():
        assert found == shares(pixels[groups[group]], names[groups[group]], split.SPLITS)


def test_nothing_has_no_share():
    found = shares(np.zeros(0, int), np.zeros(0, "U5"), split.SPLITS)
    assert found.parts == {name: Estimate(None) for name in split.SPLITS}


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), min_size=1, max_size=60), st.integers(0, 99))
def test_groups_of_rows_say_what_their_rows_say_in_any_order(groups, seed):
    pixels, rows = (np.array(values) for values in zip(*groups, strict=True))
    names = split.splits_of(pixels)
    together = shares(pixels, names, split.SPLITS, rows)
    one_by_one = np.repeat(np.arange(len(rows)), rows)
    order = np.random.default_rng(seed).permutation(one_by_one)
    alone = shares(pixels[order], names[order], split.SPLITS)
    assert alone == together
    assert sum(part.events for part in alone.parts.values()) == rows.sum()
    for part in alone.parts.values():
        assert part.low is None or part.low <= part.value <= part.high
