"""Draws over pixels: what refits would give, wider where neighbours are alike."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from lensctl.stats.fits import penalised_logistic as regression
from lensctl.stats.fits import pixel_draws


def toy(seed=0, n=3000, pixels=100, alike=0.0):
    random = np.random.default_rng(seed)
    pixel = random.integers(0, pixels, n)
    design = np.stack([np.ones(n), random.normal(size=n), random.normal(size=pixels)[pixel]], axis=1)
    eta = design @ np.array([0.2, 1.0, -0.7]) + alike * random.normal(size=pixels)[pixel]
    return design, random.uniform(size=n) < 0.9 * expit(eta), pixel


PENALTY = regression.total_penalty([np.diag([0.0, 1.0, 1.0])], [0.1])


def fitted(design, taken):
    return regression.fit(design, taken, PENALTY)


def test_a_score_is_what_the_fit_moves_by_when_the_pixel_is_left_out():
    design, taken, pixel = toy(pixels=8)
    fit = fitted(design, taken)
    moved = np.array([fitted(design[pixel != k], taken[pixel != k]).coefficients - fit.coefficients for k in range(8)])
    p, by = regression.slopes(design, fit.coefficients)
    followed = np.stack([(by * (taken - p)[:, None])[pixel == k].sum(axis=0) for k in range(8)])
    ratio = {}
    for name, scores in (("left out", pixel_draws.pixel_scores(fit, design, taken, pixel)), ("followed", followed)):
        steps = (-scores @ fit.inverse)[:, :3]  # the ceiling is no straight line
        ratio[name] = float((steps * moved[:, :3]).sum() / (steps**2).sum())
    assert abs(ratio["left out"] - 1) < 0.1 < 0.15 < ratio["followed"] - 1


@pytest.mark.parametrize(("n", "pixels"), [(40, 20), (3000, 20)])
def test_both_sides_of_the_inverse_are_one(n, pixels):
    random = np.random.default_rng(1)
    half, residual = random.normal(size=(n, 7)) * 0.05, random.normal(size=n)
    np.testing.assert_allclose(
        pixel_draws._left_out(half, residual), np.linalg.solve(np.eye(n) - half @ half.T, residual), atol=1e-9
    )


def test_draws_scatter_as_fits_to_other_samples_do():
    """The standard deviation of the estimate over 200 skies, and what one sky says of it."""
    found, told = [], []
    for seed in range(200):
        design, taken, pixel = toy(seed, n=1500, pixels=60, alike=0.5)
        fit = fitted(design, taken)
        found.append(fit.coefficients[:3])
        if seed < 20:
            scores = pixel_draws.pixel_scores(fit, design, taken, pixel)
            told.append(pixel_draws.draws(fit, scores, np.unique(pixel), 500, 42)[:, :3].std(axis=0))
    np.testing.assert_allclose(np.mean(told, axis=0), np.std(found, axis=0), rtol=0.25)


def test_the_design_effect_is_1_of_independent_rows_and_more_of_alike_ones():
    effects = {}
    for alike in (0.0, 1.0):
        design, taken, pixel = toy(alike=alike)
        fit = fitted(design, taken)
        scores = pixel_draws.pixel_scores(fit, design, taken, pixel)
        effects[alike] = pixel_draws.design_effect(fit, design, scores)
    assert effects[0.0] == pytest.approx(1, abs=0.35)
    assert effects[1.0] > 2.5


def test_draws_do_not_depend_on_the_order_of_rows():
    design, taken, pixel = toy()
    order = np.random.default_rng(3).permutation(len(taken))
    drawn = []
    for rows in (np.arange(len(taken)), order):
        fit = fitted(design[rows], taken[rows])
        scores = pixel_draws.pixel_scores(fit, design[rows], taken[rows], pixel[rows])
        drawn.append(pixel_draws.draws(fit, scores, np.unique(pixel), 64, 42))
    np.testing.assert_allclose(drawn[0], drawn[1], atol=1e-6)


def test_what_the_penalty_holds_back_scatters_as_it_is_believed_to():
    design, taken, _ = toy(n=200)
    fit = fitted(design, taken)
    drawn = pixel_draws.smoothing(fit, np.random.default_rng(0), 20_000)
    expected = fit.inverse @ fit.penalty @ fit.inverse
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.05 * np.abs(expected).max())
