"""The best purity at a completeness lies in its interval, although the threshold was chosen from the same lenses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lensctl.stats import metrics
from lensctl.stats.purity import purity_at_completeness


def survey(seed, lenses, others, pixels, alike, width):
    """Label, score, weight and pixel of lenses three sigma above the others."""
    random = np.random.default_rng(seed)
    label, pixel = np.arange(lenses + others) < lenses, random.integers(0, pixels, lenses + others)
    of_pixel = random.normal(size=(2, pixels))[label.astype(int), pixel]
    noise = np.sqrt(alike) * of_pixel + np.sqrt(1 - alike) * random.normal(size=len(label))
    weight = np.where(random.random(len(label)) < 0.5, 40.0, 8.0)
    return label, np.where(label, 3 + width * noise, noise), weight, pixel


def truth(completeness, prevalence, width):
    threshold = np.linspace(-8, 14, 100_001)
    recall, rate = norm.sf(threshold, 3, width), norm.sf(threshold)
    purity = prevalence * recall / (prevalence * recall + (1 - prevalence) * rate)
    return purity[recall >= completeness].max()


@pytest.mark.parametrize("completeness", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("sky", [(50, 500, 18, 0.15), (100, 5000, 60, 0.1)])
@pytest.mark.parametrize("width", [1.0, 1.5])
@pytest.mark.parametrize("seeds", [80, pytest.param(1000, marks=pytest.mark.soak)])
def test_the_best_purity_at_a_completeness_lies_in_its_interval(completeness, sky, width, seeds):
    """The bootstrap's held it in 82 to 92 of a hundred, and missed on the bright side."""
    held, true = 0, truth(completeness, 1e-3, width)
    for seed in range(seeds):
        found = purity_at_completeness(*survey(seed, *sky, width), completeness, 1e-3)
        held += found.low <= true <= found.high
    assert held / seeds >= 0.92 - 1.2 * np.sqrt(0.06 / seeds)


def test_its_value_is_that_of_the_curve_and_its_interval_holds_it():
    label, score, weight, pixel = survey(0, 100, 5000, 60, 0.1, 1.0)
    points = metrics.curve(label, score, np.where(label, 1.0, weight))
    for completeness in (0.5, 0.9, 1.0):
        found = purity_at_completeness(label, score, weight, pixel, completeness, 1e-3)
        assert found.value == pytest.approx(metrics.precision_at_recall(points, completeness, 1e-3))
        assert found.low <= found.value <= found.high
        scaled = purity_at_completeness(label, score, 1e-3 * weight, pixel, completeness, 1e-3)
        assert (scaled.low, scaled.high) == pytest.approx((found.low, found.high))


def test_where_no_lens_lies_low_enough_to_say_where_the_threshold_is_the_lower_end_is_the_prevalence():
    found = purity_at_completeness(*survey(0, 20, 500, 60, 0.0, 1.0), 0.95, 1e-3)
    assert found.low == pytest.approx(1e-3, rel=0.06)


def test_a_purity_without_a_false_positive_is_a_bound():
    """1.000 is not what is known of it."""
    clean = purity_at_completeness(*survey(0, 50, 500, 60, 0.0, 1.0), 0.2, 1e-3)
    assert (clean.value, clean.events) == (1.0, 0)
    assert clean.text == f"no false positive seen: above {clean.low:.3f}"
    assert clean.low < 0.2


def test_what_has_no_interval_says_why():
    label, score, weight, pixel = survey(0, 20, 500, 8, 0.0, 1.0)
    few = purity_at_completeness(label, score, weight, pixel, 0.5, 1e-3)
    assert few.value is not None
    assert (few.low, few.why[:11]) == (None, "no interval")
    assert purity_at_completeness(np.zeros(9), np.arange(9), np.ones(9), range(9), 0.5, 0.1).why == "no lenses"
    assert purity_at_completeness(np.ones(9), np.arange(9), np.ones(9), range(9), 0.5, 0.1).why == "no non-lenses"
