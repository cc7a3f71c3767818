"""Ratios of brightness compare flux for flux, and ratios of nothing have no value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lensctl.gates.shortcuts import brightness


def test_a_matched_ratio_of_medians_is_flux_for_flux():
    rng = np.random.default_rng(0)
    flux = rng.lognormal(2, 0.5, 600)
    value = 0.1 * flux * rng.lognormal(0, 0.1, 600)
    value[:100] *= 1.2
    positive, negative = np.repeat(np.arange(100), 5), 100 + rng.integers(0, 500, 500)
    estimate = brightness.matched_ratio(value, flux, positive, negative, np.arange(600), 0)
    assert estimate.value == pytest.approx(1.2, abs=0.05)
    assert estimate.low < 1.2 < estimate.high
    assert estimate.high - estimate.low < 0.2


def test_ratios_of_nothing_have_no_value():
    nothing = np.zeros(0, np.int64)
    assert brightness.matched_ratio(np.ones(3), np.ones(3), nothing, nothing, np.arange(3), 0).value is None
    assert brightness.mean_ratio(np.ones(3), np.ones(3, bool), np.arange(3), 0).value is None
    assert brightness.mean_ratio(np.array([1.0, -1, -1]), np.array([True, False, False]), np.arange(3), 0).value is None
    assert math.isclose(
        brightness.mean_ratio(np.array([3.0, 1, 2]), np.array([True, False, False]), np.arange(3), 0).value, 2
    )
