"""Matches are the nearest within every tolerance, and samples have the strata of the positives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lensctl.comparing import matching


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
@example(seed=241184, partners=2)  # here a negative is the nearest of more positives than it may serve
def test_matches_are_the_nearest_within_every_tolerance(seed, partners):
    rng = np.random.default_rng(seed)
    place, kind = rng.uniform(0, 3, (60, 5)), rng.choice(["SER", "DEV"], 60)
    place[rng.integers(0, 60, 3), rng.integers(0, 5, 3)] = np.nan
    lenses, others = np.arange(15), np.arange(15, 60)
    found = list(zip(*matching.match(place, kind, lenses, others, partners, most_uses=15), strict=True))
    truth = []
    for i in lenses:
        distance = [(np.abs(place[i] - place[j]).max(), j) for j in others if kind[i] == kind[j]]
        truth += [(i, j) for _, j in sorted((d, j) for d, j in distance if d <= 1)[:partners]]
    assert found == truth


def test_a_sample_is_stratified_reproducible_and_grows():
    ids = np.array([f"g{i}" for i in range(2000)])
    rng = np.random.default_rng(0)
    stratum, is_lens = rng.integers(0, 3, 2000), rng.random(2000) < 0.2
    lenses, others = np.flatnonzero(is_lens), np.flatnonzero(~is_lens)
    small, large = (matching.sample(ids, stratum, lenses, others, most=n, partners=2, seed=1) for n in (60, 120))
    assert len(small[0]) == 60
    assert set(small[0]) <= set(large[0])
    assert np.bincount(stratum[small[1]]).tolist() == (2 * np.bincount(stratum[small[0]])).tolist()
    shares = np.bincount(stratum[small[0]]) / 60 - np.bincount(stratum[lenses]) / len(lenses)
    assert np.abs(shares).max() < 1 / 60
    mixed = rng.permutation(2000)
    again = matching.sample(
        ids[mixed],
        stratum[mixed],
        np.flatnonzero(is_lens[mixed]),
        np.flatnonzero(~is_lens[mixed]),
        most=60,
        partners=2,
        seed=1,
    )
    assert set(ids[mixed][again[0]]) == set(ids[small[0]])


def test_no_negative_serves_more_positives_than_it_may_and_the_nearest_have_it():
    place = np.zeros((10, 5))
    place[:8, 0] = 0.01 * np.arange(8)  # eight positives around one negative, and another farther off
    place[9, 0] = 0.9
    kind = np.full(10, "SER")
    positive, negative = matching.match(place, kind, np.arange(8), np.array([8, 9]), partners=1)
    uses = np.bincount(negative, minlength=10)
    assert uses[8] == matching.MOST_USES
    assert uses[9] == 3
    assert sorted(positive[negative == 8]) == [0, 1, 2, 3, 4]


def test_balance_is_the_difference_over_the_scatter_and_names_who_is_unmatched():
    place = np.zeros((6, 5))
    place[:3, 1] = [0.0, 1.0, 2.0]
    place[3:, 1] = [0.5, 1.5, 9.0]
    kind = np.array(["SER", "SER", "DEV", "SER", "SER", "SER"])
    found = matching.balance(place, kind, np.arange(3), np.array([0, 1]), np.array([3, 4]))
    assert found.differences[1] == pytest.approx(-0.5 / 0.5)
    assert found.differences[0] == 0
    assert (found.most_uses, dict(found.unmatched)) == (1, {"DEV": 1})
    nothing = matching.balance(place, kind, np.arange(3), np.zeros(0, int), np.zeros(0, int))
    assert np.isnan(nothing.differences).all()
