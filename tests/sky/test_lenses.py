"""Arcs are as clear as their grade asks, and pull flux and position as least squares would."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.rules.survey import LS_DR10
from lensctl.sky import lenses, pointings, window
from lensctl.sky.objects import spectra
from lensctl.sky.pointings import generator
from tests.toys.small_sky import SMALLEST, example


@pytest.mark.parametrize("grade", list(lenses.TIERS))
def test_arcs_are_as_clear_as_their_grade_asks_and_bluer_than_the_galaxy(plan, grade):
    tier, rng = lenses.TIERS[grade], generator(3)
    host = {"flux_g": 1.6, "flux_r": 6.0, "flux_z": 14.0, "r_half": 1.1, "n": 4.0, "q": 0.8, "phi": 0.4}
    psfs = window.psfs_of(rng, plan[0])
    sigma = np.array([0.003, 0.004, 0.01])
    for _ in range(5):
        arcs, model = lenses.draw(rng, host, grade, psfs, sigma, (0.2, -0.3), LS_DR10)
        assert tier.peak_snr[0] - 0.1 <= arcs.facts["arc_peak_snr"] <= tier.peak_snr[1] + 0.1
        assert arcs.facts["arc_contrast"] >= tier.contrast - 0.01
        seen = max(arcs.seen[0].max() / sigma[0], arcs.seen[1].max() / sigma[1])
        assert seen == pytest.approx(arcs.facts["arc_peak_snr"], rel=1e-3)
        assert arcs.image[1].sum() == pytest.approx(arcs.facts["magnification"] * arcs.facts["source_flux_r"], rel=1e-3)
        assert arcs.image[0].sum() / arcs.image[1].sum() > host["flux_g"] / host["flux_r"]
        assert model[0].sum() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("grade", list(lenses.TIERS))
def test_arcs_of_a_sharper_survey_are_as_clear_in_its_two_bluest_bands(grade):
    tier, rng, survey = lenses.TIERS[grade], generator(4), example("vis-yjh")
    host = {"r_half": 1.1, "n": 4.0, "q": 0.8, "phi": 0.4, **spectra.fluxes(survey, 1.6, 6.0, 14.0)}
    psfs = window.psfs_of(rng, pointings.plan(1, SMALLEST, survey)[0])
    sigma = np.array([0.001, 0.002, 0.002, 0.002])
    for _ in range(3):
        arcs, model = lenses.draw(rng, host, grade, psfs, sigma, (0.2, -0.3), survey)
        side = arcs.image.shape[1]
        assert arcs.image.shape == arcs.seen.shape == model.shape == (4, side, side)
        assert side % 2 == 1
        assert side * survey.pixel_scale_arcsec > 4 * lenses.EINSTEIN_RANGE_ARCSEC[1]
        seen = max(arcs.seen[0].max() / sigma[0], arcs.seen[1].max() / sigma[1])
        assert tier.peak_snr[0] - 0.1 <= seen <= tier.peak_snr[1] + 0.1
        assert arcs.facts["arc_contrast"] >= tier.contrast - 0.01
        for i, band in enumerate(survey.bands):
            lensed = arcs.facts["magnification"] * arcs.facts[f"source_flux_{band}"]
            assert arcs.image[i].sum() == pytest.approx(lensed, rel=1e-3)


def test_light_like_the_galaxy_is_absorbed_by_the_stated_share_and_moves_nothing(plan):
    psfs = window.psfs_of(generator(1), plan[0])
    model = np.stack([psf.kernel(41) for psf in psfs]).astype(float)
    flux, sigma = np.array([2.0, 6.0, 12.0]), np.array([0.003, 0.004, 0.01])
    added, shift = lenses.absorbed(0.5 * model, model, flux, sigma)
    assert added == pytest.approx(lenses.ABSORBED_SHARE * 0.5)
    assert shift == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))


def test_light_to_the_right_pulls_the_position_to_the_right(plan):
    psfs = window.psfs_of(generator(1), plan[0])
    model = np.stack([psf.kernel(41) for psf in psfs]).astype(float)
    arcs = 0.1 * np.roll(model, 3, axis=2)
    _, (dx, dy) = lenses.absorbed(arcs, model, np.array([2.0, 6.0, 12.0]), np.array([0.003, 0.004, 0.01]))
    assert dx > 0.01
    assert abs(dy) < 0.2 * dx


def test_a_position_pulled_by_light_like_the_galaxys_goes_where_least_squares_puts_it(plan):
    """A small copy of the galaxy one pixel off, of relative flux f, moves the fit by about f pixels."""
    psfs = window.psfs_of(generator(1), plan[0])
    model = np.stack([psf.kernel(41) for psf in psfs]).astype(float)
    flux = np.array([2.0, 6.0, 12.0])
    arcs = 0.02 * flux[:, None, None] * np.roll(model, 1, axis=1)
    _, (_, dy) = lenses.absorbed(arcs, model, flux, np.array([0.003, 0.004, 0.01]))
    assert dy == pytest.approx(lenses.ABSORBED_SHARE * 0.02, rel=0.1)
