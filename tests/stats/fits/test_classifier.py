"""A cross-validated classifier says one half on noise, finds what is there, and never sees the sky it is judged on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lensctl.stats.auc import auc_of_pairs, auc_within
from lensctl.stats.fits import classifier


def on_noise(seed: int, kind: str) -> float:
    """How far a classifier's AUC on noise lies from one half, in standard errors of its interval."""
    rng = np.random.default_rng(seed)
    n, lenses = 360, 60
    x, is_lens, pixel = rng.normal(size=(n, 12)), np.arange(n) < lenses, rng.integers(0, 200, n)
    score, fold = classifier.out_of_fold(x, is_lens, np.ones(n), pixel, folds=5, seed=seed)
    if kind == "strata":
        estimate = auc_within(score, is_lens, fold, pixel, fitted=True)
    else:
        positive, negative = np.repeat(np.arange(lenses), 5), rng.permutation(np.arange(lenses, n))
        estimate = auc_of_pairs(score, positive, negative, pixel, fitted=True)
    return (estimate.value - 0.5) / ((estimate.high - estimate.low) / 2 / 1.96)


@pytest.mark.parametrize("kind", ["strata", "pairs"])
def test_a_classifier_on_noise_says_one_half_within_its_error_whatever_the_seed(kind):
    """The origin fitted and judged on the same rows: AUC 0.88 on noise."""
    away = np.array([on_noise(seed, kind) for seed in range(30)])
    assert abs(away.mean()) < 3 / math.sqrt(len(away))
    assert 0.6 < away.std() < 1.0  # times 1.4 where the interval does not know that it was fitted
    assert (np.abs(away) < 1.96).mean() >= 0.9


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["strata", "pairs"])
def test_a_classifier_on_noise_over_many_seeds(kind):
    away = np.array([on_noise(seed, kind) for seed in range(1000, 1120)])
    assert abs(away.mean()) < 3 / math.sqrt(len(away))
    assert 0.85 < away.std() < 1.1
    assert 0.92 < (np.abs(away) < 1.96).mean() < 0.98


def test_a_classifier_finds_what_one_number_does_not_show():
    rng = np.random.default_rng(3)
    x, pixel = rng.normal(size=(800, 2)), rng.integers(0, 40, 800)
    is_lens = (x[:, 0] * x[:, 1] > 0) & (rng.random(800) < 0.5)
    score, fold = classifier.out_of_fold(x, is_lens, np.ones(800), pixel, folds=5, seed=0)
    assert auc_within(score, is_lens, fold, pixel).low > 0.6


def test_a_classifier_never_sees_the_sky_it_is_judged_on():
    """Numbers that name the pixel, which names the class, would be learnt by heart."""
    rng = np.random.default_rng(4)
    pixel = np.repeat(np.arange(40), 20)
    is_lens = rng.random(40)[pixel] < 0.5
    x = rng.normal(size=(40, 5))[pixel]
    score, fold = classifier.out_of_fold(x, is_lens, np.ones(800), pixel, folds=5, seed=0)
    estimate = auc_within(score, is_lens, fold, pixel)
    assert estimate.low < 0.5 < estimate.high


def test_a_feature_without_any_value_tells_nothing_and_is_no_error():
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, (300, 2))
    values[:, 1] = np.nan
    is_lens, pixel = rng.random(300) < 0.4, rng.integers(0, 30, 300)
    alone, _ = classifier.out_of_fold(values[:, :1], is_lens, np.ones(300), pixel, folds=5, seed=1)
    both, _ = classifier.out_of_fold(values, is_lens, np.ones(300), pixel, folds=5, seed=1)
    assert both == pytest.approx(alone)
    none, _ = classifier.out_of_fold(values[:, 1:], is_lens, np.ones(300), pixel, folds=5, seed=1)
    assert (none == 0).all()
