"""The floor of a calibration error is what a calibrated model shows, with weights and without, in any order of rows."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.stats.calibration import ece, ece_positive, logistic
from lensctl.stats.calibration_floor import KINDS, floors


def calibrated(random, n=600, prior=0.1):
    """Labels and probabilities of a model whose every p is right."""
    lens_like = random.random(n) < prior
    p = logistic(np.where(lens_like, random.normal(1.5, 1.5, n), random.normal(-4, 1.5, n)))
    return random.random(n) < p, p


def errors_of(label, p, weight=None):
    return ece(label, p, weight), ece(label, p, weight, by="mass"), ece_positive(label, p, weight)


@pytest.mark.parametrize("seeds", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_a_calibrated_model_lies_below_the_floors_95th_percentile_as_often_as_it_says(seeds):
    below = {kind: [0, 0] for kind in KINDS}
    for seed in range(seeds):
        label, p = calibrated(np.random.default_rng(seed))
        floor = floors(p, None, label, seed)
        for kind, error in zip(KINDS, errors_of(label, p), strict=True):
            below[kind][0] += error <= floor[kind].median
            below[kind][1] += error <= floor[kind].p95
    scatter = 3 / np.sqrt(seeds)
    for half, most in below.values():
        assert half / seeds == pytest.approx(0.5, abs=0.5 * scatter)
        assert most / seeds == pytest.approx(0.95, abs=0.22 * scatter)


@pytest.mark.parametrize("seeds", [60, pytest.param(600, marks=pytest.mark.soak)])
def test_so_does_a_calibrated_model_of_a_weighted_sample(seeds):
    """A sky of 300,000 galaxies, of which all lenses and one other in a hundred were taken."""
    below = {kind: [0, 0] for kind in KINDS}
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        label, p = calibrated(random, 300_000, 2e-4)
        kept = label | (random.random(len(label)) < 0.01)
        weight = np.where(label, 1.0, 100.0)[kept]
        label, p = label[kept], p[kept]
        floor = floors(p, weight, label, seed, rounds=100)
        for kind, error in zip(KINDS, errors_of(label, p, weight), strict=True):
            below[kind][0] += error <= floor[kind].median
            below[kind][1] += error <= floor[kind].p95
    for half, most in below.values():
        assert half / seeds == pytest.approx(0.5, abs=0.1 + 1.2 / np.sqrt(seeds))
        assert most / seeds >= 0.86


def test_an_overconfident_model_lies_above_the_floor():
    random = np.random.default_rng(0)
    label, p = calibrated(random, 5000)
    hot = logistic(np.log(p / (1 - p)) + 1.5)
    floor = floors(hot, None, label, 0)
    for kind, error in zip(KINDS, errors_of(label, hot), strict=True):
        assert error > floor[kind].p95


def test_the_floor_does_not_know_the_order_of_rows_nor_the_scale_of_weights():
    random = np.random.default_rng(1)
    label, p = calibrated(random)
    weight = np.where(label, 1.0, random.choice([40.0, 7.0], 600))
    order = random.permutation(600)
    assert floors(p, None, label, 5) == floors(p[order], None, label[order], 5)
    assert floors(p, weight, label, 5) == floors(p[order], weight[order], label[order], 5)
    scaled = floors(p, 1e-3 * weight, label, 5)
    for kind, floor in floors(p, weight, label, 5).items():
        assert (scaled[kind].median, scaled[kind].p95) == pytest.approx((floor.median, floor.p95))
