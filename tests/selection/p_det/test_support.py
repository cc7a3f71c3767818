"""The support: the design lies in it, and what is far from it, or beyond an end, does not."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.selection.p_det.support import MOST_POINTS, PERCENTILE, support_of

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.uniform(size=(6000, 3)) * [1, 10, 100]


def test_nearly_all_of_the_design_lies_inside():
    assert support_of(ROWS).inside(ROWS).mean() == pytest.approx(PERCENTILE / 100, abs=0.01)


def test_beyond_an_end_nothing_lies_inside_however_near():
    middle = np.full((1, 3), 0.5) * [1, 10, 100]
    support = support_of(ROWS)
    assert support.inside(middle).tolist() == [True]
    for axis in range(3):
        beyond = middle.copy()
        beyond[0, axis] = ROWS[:, axis].max() * 1.0001
        assert support.inside(beyond).tolist() == [False]


def test_a_hole_in_the_design_lies_outside():
    hole = ROWS[np.abs(ROWS / [1, 10, 100] - 0.5).max(axis=1) > 0.3]
    middle = np.full((1, 3), 0.5) * [1, 10, 100]
    assert support_of(hole).inside(middle).tolist() == [False]


def test_units_do_not_matter():
    others = RANDOM.uniform(-0.2, 1.2, size=(500, 3)) * [1, 10, 100]
    scale = np.array([1e-3, 7, 1e5])
    one, other = support_of(ROWS).inside(others), support_of(ROWS * scale).inside(others * scale)
    assert (one == other).mean() > 0.998
    assert 0.1 < one.mean() < 0.9


def test_few_rows_and_a_constant_axis_have_a_support_too():
    few = np.stack([np.arange(5.0), np.full(5, 3.0)], axis=1)
    support = support_of(few)
    assert len(support.points) == 5
    assert support.inside(few).sum() >= 4
    assert not support.inside(few + np.array([0, 1e-6])).any()
    assert len(support_of(ROWS).points) == MOST_POINTS
