from __future__ import annotations

import numpy as np
import pytest

from lensctl.stats.fits.density_ratio import density_ratio, evenly


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


def test_rows_of_one_group_are_never_in_both_the_fit_and_its_use(monkeypatch):
    import sklearn.linear_model

    class Watched(sklearn.linear_model.LogisticRegression):
        def fit(self, values, is_target):
            self.known = {tuple(row) for row in values[~is_target]}
            return super().fit(values, is_target)

        def decision_function(self, values):
            used.extend(tuple(row) in self.known for row in values)
            return super().decision_function(values)

    used: list[bool] = []
    monkeypatch.setattr(sklearn.linear_model, "LogisticRegression", Watched)
    rng = np.random.default_rng(3)
    sample = np.repeat(rng.normal(0, 1, (100, 3)), 4, axis=0)  # a group has one value: seen, it would be known
    ratio = density_ratio(sample, rng.normal(0, 1, (300, 3)), np.arange(400) // 4)
    assert len(used) == 400
    assert not any(used)
    assert (ratio > 0).all()


def test_values_that_do_not_vary_tell_nothing():
    assert np.allclose(density_ratio(np.ones((50, 2)), np.ones((60, 2)), np.arange(50)), 1)


def test_even_rows_stand_for_the_weights():
    weight = np.array([1.0, 0.0, 3.0, 4.0])
    assert np.bincount(evenly(weight, 8), minlength=4).tolist() == [1, 0, 3, 4]
