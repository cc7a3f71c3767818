"""The penalised fit: its slopes, its ceiling, and how strong the penalty is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from lensctl.stats.fits import penalised_logistic as regression


def toy(seed=0, n=4000, count=5, ceiling=0.8):
    random = np.random.default_rng(seed)
    design = np.hstack([np.ones((n, 1)), random.normal(size=(n, count - 1))])
    beta = np.linspace(1.5, -1.5, count)
    p = ceiling * expit(design @ beta)
    return design, random.uniform(size=n) < p, p


def penalty_of(count):
    return np.diag([0.0] + [1.0] * (count - 1))


def test_slopes_are_the_derivatives_of_the_logit():
    design, *_ = toy(n=50)
    beta = np.array([0.3, -2, 1, 0.2, 0.7, -3.0])
    p, by = regression.slopes(design, beta)
    np.testing.assert_allclose(p, regression.probability(design, beta))
    for at in range(len(beta)):
        step = np.zeros(len(beta))
        step[at] = 1e-5
        up, down = (regression.probability(design, beta + sign * step) for sign in (1, -1))
        np.testing.assert_allclose((np.log(up / (1 - up)) - np.log(down / (1 - down))) / 2e-5, by[:, at], atol=1e-6)


def test_the_curvature_is_the_derivative_of_the_slope():
    design, taken, _ = toy(n=60)
    beta = np.array([0.3, -2, 1, 0.2, 0.7, -3.0])

    def slope(at):
        p, by = regression.slopes(design, at)
        return by.T @ (taken - p)

    steps = 1e-5 * np.eye(len(beta))
    slow = [(slope(beta - step) - slope(beta + step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(regression.curvature(design, taken, beta), slow, atol=1e-6)


def test_a_start_in_a_hollow_finds_the_same_fit():
    design, taken, _ = toy()
    penalty = regression.total_penalty([penalty_of(5)], [1.0])
    usual = regression.fit(design, taken, penalty).coefficients
    far = np.array([9.0, 5, -5, 5, -5, -3.0])
    assert regression._step(regression.curvature(design, taken, far) + penalty, far) is None
    np.testing.assert_allclose(regression.fit(design, taken, penalty, far).coefficients, usual, atol=1e-3)


def test_where_p_is_0_or_1_slopes_are_still_numbers():
    design = np.array([[1.0, -1e6], [1.0, 1e6]])
    p, by = regression.slopes(design, np.array([0.0, 1.0, 30.0]))
    assert (p > 0).all()
    assert (p < 1).all()
    assert np.isfinite(by).all()


def test_at_the_fit_the_penalised_likelihood_is_level():
    design, taken, _ = toy()
    penalty = regression.total_penalty([penalty_of(5)], [3.0])
    found = regression.fit(design, taken, penalty)
    p, by = regression.slopes(design, found.coefficients)
    np.testing.assert_allclose(by.T @ (taken - p), penalty @ found.coefficients, atol=2e-3)
    np.testing.assert_allclose(found.information, regression.gram(by, p * (1 - p)))
    assert 4 < found.effective_count < 6


def test_the_ceiling_is_found_and_its_absence_too():
    design, taken, p = toy(n=20_000, ceiling=0.8)
    found = regression.fit(design, taken, regression.total_penalty([penalty_of(5)], [0.1]))
    assert regression.ceiling_of(found.coefficients) == pytest.approx(0.8, abs=0.02)
    assert np.abs(regression.probability(design, found.coefficients) - p).mean() < 0.01
    design, taken, p = toy(n=20_000, ceiling=1.0)
    found = regression.fit(design, taken, regression.total_penalty([penalty_of(5)], [0.1]))
    assert regression.ceiling_of(found.coefficients) > 0.97


def test_the_heavier_the_penalty_the_smaller_what_it_weighs():
    design, taken, _ = toy()
    sizes = [
        np.abs(regression.fit(design, taken, regression.total_penalty([penalty_of(5)], [s])).coefficients[1:-1]).sum()
        for s in (0.01, 100.0, 1e4)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_one_step_foretells_what_a_fit_without_the_fold_would():
    design, taken, _ = toy(n=3000)
    fold = regression.folds_of(np.arange(3000) // 30)
    penalties = [penalty_of(5)]
    total = regression.total_penalty(penalties, [10.0])
    start = regression.fit(design, taken, total).coefficients
    parts = [np.flatnonzero(fold == k) for k in range(5)]
    quick = regression._LeftOut(design, taken, penalties, parts, start).loss((10.0,))
    slow = 0.0
    for rows in parts:
        others = np.setdiff1d(np.arange(3000), rows)
        beta = regression.fit(design[others], taken[others], total).coefficients
        slow += regression.log_loss(regression.probability(design[rows], beta), taken[rows]) * len(rows) / 3000
    own = regression.log_loss(regression.probability(design, start), taken)
    assert slow - own > 0.001
    assert quick - own == pytest.approx(slow - own, rel=0.15)


def test_what_has_no_effect_is_penalised_most_and_what_has_one_least():
    random = np.random.default_rng(1)
    n = 6000
    strong, idle = random.normal(size=(n, 6)), random.normal(size=(n, 6))
    taken = random.uniform(size=n) < 0.9 * expit(strong @ np.array([2.0, -2, 2, -2, 2, -2]))
    design = np.hstack([np.ones((n, 1)), strong, idle])
    of_strong, of_idle = (np.diag([0.0] + [float(at == k) for at in (0, 1) for _ in range(6)]) for k in (0, 1))
    chosen = regression.choose_strengths(design, taken, [of_strong, of_idle], regression.folds_of(np.arange(n)))
    assert chosen.strengths[0] < chosen.strengths[1] == regression.STRENGTHS[-1]
    assert chosen.losses[chosen.strengths] == min(chosen.losses.values())


def test_folds_hold_whole_pixels_and_about_as_many_rows_whatever_their_order():
    random = np.random.default_rng(0)
    pixel = random.integers(0, 40, 1000) ** 2
    fold = regression.folds_of(pixel)
    assert all(len(np.unique(fold[pixel == one])) == 1 for one in np.unique(pixel))
    assert np.ptp(np.bincount(fold)) < 30
    order = random.permutation(1000)
    np.testing.assert_array_equal(regression.folds_of(pixel[order]), fold[order])
    assert regression.folds_of(np.array([7, 7, 7])).tolist() == [0, 0, 0]
