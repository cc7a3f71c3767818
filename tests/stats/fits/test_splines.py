"""Splines: they add up to one, stop at the ends, and a straight line costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.stats.fits import splines

KNOTS = np.array([0.0, 0.1, 0.5, 2.0, 2.2])
knots = st.lists(st.floats(0.05, 3.0), min_size=1, max_size=12).map(
    lambda gaps: np.concatenate([[0.0], np.cumsum(gaps)])
)


@given(knots, st.floats(-1, 40))
def test_functions_add_up_to_one_and_are_never_negative(at, value):
    found = splines.basis(np.array([value]), at)
    assert found.shape == (1, splines.count_of(len(at)))
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()


def test_beyond_the_ends_they_are_what_they_are_at_the_ends():
    beyond, ends = splines.basis(np.array([-9.0, 9.0]), KNOTS), splines.basis(KNOTS[[0, -1]], KNOTS)
    np.testing.assert_array_equal(beyond, ends)


@given(knots)
def test_a_straight_line_is_not_rough_and_a_parabola_is(at):
    x = np.linspace(at[0], at[-1], 200)
    functions, penalty = splines.basis(x, at), splines.roughness(at)
    for curve, rough in ((3 - 2 * x, False), ((x / at[-1]) ** 2, True)):
        coefficients, *_ = np.linalg.lstsq(functions, curve, rcond=None)
        np.testing.assert_allclose(functions @ coefficients, curve, atol=1e-7)
        assert bool(coefficients @ penalty @ coefficients > 1e-6) is rough


def test_roughness_does_not_depend_on_units_or_on_what_is_added():
    np.testing.assert_allclose(splines.roughness(KNOTS), splines.roughness(KNOTS * 1000 + 7), atol=1e-8)


def test_a_product_of_two_straight_lines_is_not_rough():
    ends = np.array([0.0, 1.0])
    x, y = np.random.default_rng(0).uniform(size=(2, 300))
    functions = splines.tensor(splines.basis(x, ends), splines.basis(y, ends))
    assert functions.shape == (300, 16)
    penalty = splines.tensor_roughness(splines.roughness(ends), splines.roughness(ends))
    for surface, rough in (((1 + 2 * x) * (3 - y), False), (x**2 * y, True)):
        coefficients, *_ = np.linalg.lstsq(functions, surface, rcond=None)
        np.testing.assert_allclose(functions @ coefficients, surface, atol=1e-9)
        assert bool(coefficients @ penalty @ coefficients > 1e-6) is rough
