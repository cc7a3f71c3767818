"""Odds make one sample resemble another."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.stats.odds import CLIP_PERCENTILE, matching_weight


def samples(seed, n=6000, m=3000):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (n, 2)), rng.normal([0.5, -0.4], [0.8, 0.9], (m, 2))


@pytest.mark.parametrize("seed", range(3))
def test_weighted_means_and_scatters_are_those_of_the_other_sample(seed):
    values, target = samples(seed)
    weight = matching_weight(values, target)
    mean = np.average(values, weights=weight, axis=0)
    scatter = np.sqrt(np.average((values - mean) ** 2, weights=weight, axis=0))
    assert np.abs(mean - target.mean(axis=0)).max() < 0.08  # the clipped hundredth takes some 0.03
    assert np.abs(scatter / target.std(axis=0) - 1).max() < 0.08
    assert np.abs(values.mean(axis=0) - target.mean(axis=0)).min() > 0.3, "there was something to do"


def test_the_mean_is_1_and_the_greatest_hundredth_is_equal():
    weight = matching_weight(*samples(5))
    assert weight.mean() == pytest.approx(1)
    top = np.sort(weight)[-round(len(weight) * (1 - CLIP_PERCENTILE / 100)) :]
    assert np.ptp(top) == 0
    assert weight.min() > 0


def test_samples_alike_get_weights_near_1_and_a_constant_quantity_does_no_harm():
    rng = np.random.default_rng(1)
    values, target = (np.c_[rng.normal(0, 1, n), np.full(n, 3.0)] for n in (4000, 4000))
    assert np.abs(matching_weight(values, target) - 1).max() < 0.35


def test_weights_do_not_depend_on_the_order_of_rows():
    values, target = samples(2, 500, 300)
    order = np.random.default_rng(3).permutation(500)
    assert matching_weight(values[order], target) == pytest.approx(matching_weight(values, target)[order], rel=1e-4)
