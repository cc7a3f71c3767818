"""Matches are the nearest within every tolerance, and samples have the strata of the positives."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.gates.shortcuts import matching


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_matches_are_the_nearest_within_every_tolerance(seed, partners):
    rng = np.random.default_rng(seed)
    place, kind = rng.uniform(0, 3, (60, 5)), rng.choice(["SER", "DEV"], 60)
    place[rng.integers(0, 60, 3), rng.integers(0, 5, 3)] = np.nan
    lenses, others = np.arange(15), np.arange(15, 60)
    found = list(zip(*matching.match(place, kind, lenses, others, partners), strict=True))
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
