"""Medians of rows, with NaN and clipped, are those of the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lensctl.gates.shortcuts import robust

VALUES = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.floats(-50, 50, width=32))


@given(VALUES, st.integers(0, 29))
def test_the_median_is_that_of_the_values_there_are(values, hole):
    values = values.copy()
    values[:, hole % values.shape[1]] = np.nan
    for row, found in zip(values, robust.median(values), strict=True):
        known = row[np.isfinite(row)]
        assert np.isnan(found) if not len(known) else found == pytest.approx(np.median(known), abs=1e-4)


@given(VALUES, st.floats(0.1, 20))
def test_the_clipped_median_is_that_of_the_values_within_three_sigma(values, sigma):
    for row, found in zip(values, robust.clipped_median(values, np.full(len(values), sigma)), strict=True):
        middle = (np.sort(row)[(len(row) - 1) // 2] + float(np.sort(row)[len(row) // 2])) / 2
        kept = row[(row >= middle - 3 * sigma) & (row <= middle + 3 * sigma)]
        assert np.isnan(found) if not len(kept) else found == pytest.approx(np.median(kept), abs=1e-4)


def test_noise_is_that_of_the_differences_of_pixels():
    images = 0.02 * np.random.default_rng(1).standard_normal((3, 60, 60))
    pairs = robust.neighbours(np.ones((60, 60), bool), 1)
    slope = np.arange(60)[None, None, :] * 0.001  # what varies slowly does not count
    assert robust.noise_of((images + slope).reshape(3, -1).astype(np.float32), pairs) == pytest.approx(0.02, rel=0.06)


def test_a_quotient_by_nothing_is_unknown():
    assert np.isnan(robust.ratio(np.ones(2), np.array([0.0, -1.0]))).all()
