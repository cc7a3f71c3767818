"""The AUC of twenty lenses lies in its interval, whatever the lenses are like, and whoever their neighbours are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lensctl.stats import metrics
from lensctl.stats.few_lenses import are_few, auc_of_few, variance
from lensctl.stats.intervals import Estimate, delong


def drawn(random, kind, auc, lenses, pixels, alike, others=500):
    """Label, score and pixel of a sky of true AUC `auc`: classes alike, lenses wide, or some of them hopeless."""
    label, pixel = np.arange(lenses + others) < lenses, random.integers(0, pixels, lenses + others)
    of_pixel = random.normal(size=(2, pixels))[label.astype(int), pixel]
    noise = np.sqrt(alike) * of_pixel + np.sqrt(1 - alike) * random.normal(size=lenses + others)
    width = 2.0 if kind == "wide" else 1.0
    hopeless = 1.6 * (1 - auc) if kind == "hopeless" else 0.0
    shift = norm.ppf((auc - hopeless / 2) / (1 - hopeless)) * np.sqrt(1 + width**2)
    good = label & (random.random(len(label)) >= hopeless)
    return label, np.where(good, shift + width * noise, noise), pixel


def covered(make, truth, seeds):
    found = [make(np.random.default_rng(seed)) for seed in range(seeds)]
    return np.mean([one.low <= truth <= one.high for one in found])


@pytest.mark.parametrize("kind", ["alike", "wide", "hopeless"])
@pytest.mark.parametrize("auc", [0.9, 0.98])
@pytest.mark.parametrize(("lenses", "pixels", "alike"), [(20, 18, 0.2), (21, 200, 0.0), (45, 18, 0.2)])
@pytest.mark.parametrize("seeds", [150, pytest.param(2000, marks=pytest.mark.soak)])
def test_the_auc_of_few_lenses_lies_in_its_interval(kind, auc, lenses, pixels, alike, seeds):
    """DeLong's held it in 85 to 90 of a hundred, and in 55 where a few lenses are hopeless."""
    at_least = 0.93 - 1.2 * np.sqrt(0.06 / seeds)
    assert covered(lambda r: auc_of_few(*drawn(r, kind, auc, lenses, pixels, alike)), auc, seeds) >= at_least


def test_of_many_lenses_it_is_nearly_as_short_as_delongs():
    label, score, pixel = drawn(np.random.default_rng(0), "alike", 0.95, 2000, 10**5, 0.0, 20_000)
    few, usual = auc_of_few(label, score, pixel), delong(label, score)
    assert few.value == pytest.approx(usual.value) == metrics.roc_auc(label, score)
    assert usual.high - usual.low < few.high - few.low < 1.6 * (usual.high - usual.low)


def test_the_variance_is_that_of_exponential_scores():
    """For which Hanley and McNeil's is exact."""
    random, auc = np.random.default_rng(1), 0.9
    found = [
        metrics.roc_auc(np.arange(60) < 20, np.append(random.exponential(9, 20), random.exponential(1, 40)))
        for _ in range(4000)
    ]
    assert np.mean(found) == pytest.approx(auc, abs=3e-3)
    assert np.var(found) == pytest.approx(variance(auc, 20, 40), rel=0.08)


def test_classes_without_overlap_are_not_sure_of_themselves():
    label = np.arange(500) < 20
    perfect = auc_of_few(label, label.astype(float), np.arange(500))
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert 0.8 < perfect.low < 0.95
    turned = auc_of_few(label, -label.astype(float), np.arange(500))
    assert (turned.value, turned.low) == (0.0, 0.0)
    assert turned.high == pytest.approx(1 - perfect.low)


def test_what_has_no_interval_says_why():
    assert auc_of_few([0, 0], [1.0, 2.0], [0, 1]) == Estimate(None, n=2, why="no lenses")
    assert auc_of_few([1, 1], [1.0, 2.0], [0, 1]) == Estimate(None, n=2, why="no non-lenses")
    one = auc_of_few([1, 1, 0], [1.0, 2.0, 0.0], [7, 7, 8])
    assert (one.value, one.low) == (1.0, None)
    assert "one HEALPix pixel" in one.why


@pytest.mark.parametrize(
    ("lenses", "pixels", "few"), [(49, 49, True), (50, 20, False), (200, 19, True), (50, 50, False)]
)
def test_few_are_below_fifty_lenses_or_twenty_pixels_of_them(lenses, pixels, few):
    label = np.append(np.ones(lenses), np.zeros(400))
    assert are_few(label, np.append(np.arange(lenses) % pixels, 1000 + np.arange(400))) is few
