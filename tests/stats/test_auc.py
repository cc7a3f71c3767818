"""AUCs within strata and over pairs are those of all pairs, and their intervals hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.stats.auc import auc_of_pairs, auc_within


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 2)), min_size=1, max_size=40))
def test_auc_within_strata_is_that_of_all_pairs(rows):
    score, is_lens, stratum = (np.array(column) for column in zip(*rows, strict=True))
    both = [s for s in np.unique(stratum) if is_lens[stratum == s].any() and not is_lens[stratum == s].all()]
    estimate = auc_within(score.astype(float), is_lens, stratum, np.arange(len(rows)))
    if not both:
        assert estimate.value is None
        return
    total = count = 0.0
    for s in both:
        lenses, others = score[is_lens & (stratum == s)], score[~is_lens & (stratum == s)]
        won = [(a > b) + 0.5 * (a == b) for a in lenses for b in others]
        total, count = total + np.mean(won) * len(lenses), count + len(lenses)
    assert estimate.value == pytest.approx(total / count)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    pairs = [
        (i, j)
        for s in both
        for i in np.flatnonzero(is_lens & (stratum == s))
        for j in np.flatnonzero(~is_lens & (stratum == s))
    ]
    i, j = np.array(pairs).T
    matched = auc_of_pairs(score.astype(float), i, j, np.arange(len(rows)))
    assert matched.value == pytest.approx(estimate.value)


@pytest.mark.parametrize("kind", ["strata", "pairs"])
def test_intervals_hold_the_truth_as_often_as_they_say_although_neighbours_are_alike(kind):
    held = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        is_lens, pixel = np.arange(400) < 80, rng.integers(0, 60, 400)
        score = rng.normal(size=400) + 0.5 * rng.normal(size=60)[pixel]
        if kind == "strata":
            estimate = auc_within(score, is_lens, rng.integers(0, 4, 400), pixel)
        else:
            partners = 80 + rng.integers(0, 320, 400)
            estimate = auc_of_pairs(score, np.repeat(np.arange(80), 5), partners, pixel)
        held.append(estimate.low <= 0.5 <= estimate.high)
    assert 0.90 <= np.mean(held) <= 1
