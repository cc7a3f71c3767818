from __future__ import annotations

import numpy as np
import pytest

from lensctl.stats.density_ratio import density_ratio, evenly
from lensctl.stats.effective import effective_number


def test_it_is_the_ratio_of_two_normal_distributions():
    rng = np.random.default_rng(1)
    sample, target = rng.normal(0, 1, (6000, 2)), rng.normal([0.5, 0], [0.8, 1], (6000, 2))
    ratio = density_ratio(sample, target, np.arange(6000))
    x = sample[:, 0]
    exact = np.exp(-0.5 * ((x - 0.5) / 0.8) ** 2 + 0.5 * x**2) / 0.8
    assert ratio.mean() == pytest.approx(1)
    middle = np.abs(sample).max(axis=1) < 1.5
    assert np.abs(np.log(ratio / exact))[middle].mean() < 0.12
    assert (ratio * x).mean() == pytest.approx(0.5, abs=0.06)


def test_it_learns_what_is_shared_by_two_values():
    rng = np.random.default_rng(2)
    sample = rng.normal(0, 1, (6000, 2))
    first = rng.normal(0, 1, 6000)
    target = np.stack([first, 0.3 * first + 0.91**0.5 * rng.normal(0, 1, 6000)], axis=1)
    ratio = density_ratio(sample, target, np.arange(6000))
    assert (ratio * sample[:, 0] * sample[:, 1]).mean() == pytest.approx(0.3, abs=0.06)


def test_a_row_is_no_part_of_its_own_fit():
    """A group that is a class of its own would be told apart by heart, were it in the fit."""
    rng = np.random.default_rng(3)
    sample, target = rng.normal(0, 1, (400, 8)), rng.normal(0, 1, (400, 8))
    of_rows = density_ratio(sample, target, np.arange(400) // 4)
    assert effective_number(of_rows) < 400
    assert (of_rows > 0).all()
    again = density_ratio(sample[::-1], target, (np.arange(400) // 4)[::-1])[::-1]
    assert np.allclose(of_rows, again, rtol=1e-3)


def test_values_that_do_not_vary_tell_nothing():
    assert np.allclose(density_ratio(np.ones((50, 2)), np.ones((60, 2)), np.arange(50)), 1)


def test_even_rows_stand_for_the_weights():
    weight = np.array([1.0, 0.0, 3.0, 4.0])
    assert np.bincount(evenly(weight, 8), minlength=4).tolist() == [1, 0, 3, 4]
