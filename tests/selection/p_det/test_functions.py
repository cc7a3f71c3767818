"""The functions of p_det: how many, with which penalties, and none of an axis without values."""

from __future__ import annotations

import numpy as np

from lensctl.rules.survey import LS_DR10
from lensctl.selection.p_det.axes import physical_axes, transformed
from lensctl.selection.p_det.functions import FINE, SMOOTH, TOGETHER, functions_of
from tests.toys import known_detection

AXES = physical_axes(LS_DR10)
ROWS = transformed(AXES, known_detection.injections(0, hosts=200).values)


def test_there_are_about_110():
    functions = functions_of(AXES, ROWS)
    design = functions.matrix(ROWS)
    assert design.shape == (1000, 1 + 10 * 6 + 21 + 2 * 16)
    penalties = functions.penalties()
    assert list(penalties) == [SMOOTH, FINE, TOGETHER]
    assert all(penalty.shape == (114, 114) for penalty in penalties.values())
    weighed = [np.flatnonzero(penalty.any(axis=0)) for penalty in penalties.values()]
    assert [len(each) for each in weighed] == [60, 21, 32]
    assert sorted(np.concatenate(weighed)) == list(range(1, 114))  # all but the constant, each once


def test_a_row_far_out_hardly_moves_the_knots():
    far = ROWS.copy()
    far[0] += 1e6
    for knots, moved in zip(functions_of(AXES, ROWS).knots, functions_of(AXES, far).knots, strict=True):
        np.testing.assert_allclose(moved, knots, atol=0.3)


def test_an_axis_with_one_value_has_no_function_and_one_with_few_has_fewer():
    rows = ROWS.copy()
    rows[:, 0], rows[:, 3] = 7.0, np.round(rows[:, 3])
    functions = functions_of(AXES, rows)
    assert functions.pairs == ()
    assert len(functions.knots[0]) == 1
    design = functions.matrix(rows)
    assert np.isfinite(design).all()
    assert design.shape[1] == len(functions.penalties()[SMOOTH]) == 1 + 9 * 6 + len(functions.knots[3]) + 1
