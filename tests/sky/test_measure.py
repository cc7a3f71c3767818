"""The catalogue's noise, exposures and mask bits are those of its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import fftconvolve

from lensctl.astro.moffat import Psf, nea_px
from lensctl.rules.survey import LS_DR10
from lensctl.sky import measure
from tests.toys.small_sky import example, plane


def test_psfsize_psfdepth_and_invvar_are_tied_by_the_noise_equivalent_area(root, plan, tractor):
    checked = 0
    for p in plan:
        rows = tractor[tractor["brickid"] == p.brick.id]
        for i, band in enumerate("grz"):
            if p.dirt.missing_band == band:
                continue
            image, invvar, nexp = (plane(root, p, kind, band) for kind in ("image", "invvar", "nexp"))
            blank = (nexp == p.nobs[i]) & (invvar > 0) & (abs(image) < 0.2 * p.noise[i] / np.sqrt(p.nobs[i]))
            for row in rows[rows[f"nobs_{band}"] == p.nobs[i]]:
                nea_px = 4 * np.pi * (row[f"psfsize_{band}"] / (2.3548 * 0.262)) ** 2
                assert row[f"psfdepth_{band}"] * nea_px / np.median(invvar[blank]) == pytest.approx(1, abs=0.02)
                assert row[f"psfsize_{band}"] == pytest.approx(p.psfsize[i])
                assert 0.4 < row[f"galdepth_{band}"] / row[f"psfdepth_{band}"] < 0.75  # 0.5-0.57 in real DR9 catalogues
                checked += 1
    assert checked > 300


def test_the_depth_of_a_galaxy_is_that_of_its_profile_seen_through_the_psf():
    """By the slow way: a fine exponential disc, convolved with the PSF on the same fine pixels, summed to pixels."""
    scale, fine, side = 0.262, 5, 61
    psf = Psf.of_psfsize(1.3, 2.5, scale)
    axis = ((np.arange(side * fine) + 0.5) / fine - side / 2).astype(np.float32)
    radius = np.hypot(axis[None, :], axis[:, None]) * scale
    disc = np.exp(-1.678 * radius / measure.DEPTH_GALAXY_ARCSEC)
    seen = fftconvolve(disc, psf.at(axis[None, :], axis[:, None]), mode="same")
    pixels = seen.reshape(side, fine, side, fine).mean(axis=(1, 3))
    assert measure.depth_nea_px(psf) == pytest.approx(nea_px(pixels), rel=0.02)


def test_photons_of_a_bright_object_add_to_the_error_of_its_flux(tractor, truth):
    star = (truth["kind"].to_numpy() == "star") & (tractor["nobs_g"] > 0)
    worse = tractor["psfdepth_g"][star] / tractor["flux_ivar_g"][star] - 1
    per_flux = worse / tractor["flux_g"][star].clip(1e-3)
    bright = tractor["flux_g"][star] > 5
    assert bright.sum() > 5
    assert (worse[bright] > 0.5).all()
    assert np.median(per_flux[bright]) == pytest.approx(1 / (0.11 * 4 * np.pi * (1.38 / 2.3548 / 0.262) ** 2), rel=0.5)


def test_photometric_redshifts_scatter_about_the_true_ones_and_stars_have_none(tractor, truth):
    z, z_phot = truth["redshift"].to_numpy(), tractor["z_phot"]
    star = truth["kind"].to_numpy() == "star"
    assert np.isnan(z_phot[star]).all()
    assert np.isfinite(z_phot[~star]).all()
    off = ((z_phot - z) / (1 + z))[~star]
    assert 1.4826 * np.median(abs(off - np.median(off))) == pytest.approx(measure.Z_PHOT_SCATTER, rel=0.25)
    assert 0.0 < np.mean(abs(off) > 0.15) < 0.08


def test_catalogue_counts_exposures_as_the_maps_do(root, plan, tractor):
    unexposed = 0
    for p in plan:
        rows = tractor[tractor["brickid"] == p.brick.id]
        for band in set("grz") - {p.dirt.missing_band}:
            nexp = plane(root, p, "nexp", band)
            near = [nexp[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2] for x, y in rows[["bx", "by"]]]
            for count, around in zip(rows[f"nobs_{band}"], near, strict=True):
                assert count in around
        bare = rows[f"nobs_{p.dirt.unexposed_band or 'g'}"] == 0
        assert (rows[f"flux_{p.dirt.unexposed_band or 'g'}"][bare] == 0).all()
        unexposed += bare.sum()
    assert unexposed


def test_objects_carry_the_maskbits_of_their_pixel(root, plan, tractor):
    p = next(p for p in plan if p.dirt.bright_star)
    bits = plane(root, p, "maskbits")
    rows = tractor[tractor["brickid"] == p.brick.id]
    assert rows["maskbits"].any()
    for row in rows:
        y, x = round(row["by"]), round(row["bx"])
        assert row["maskbits"] in bits[y - 1 : y + 2, x - 1 : x + 2]


def test_catalogue_fluxes_of_another_survey_are_the_true_ones_within_their_noise(other):
    rows, truth = other.tractor, other.truth
    plain = ~truth["is_lens"].to_numpy(zero_copy_only=False)
    for band in other.survey.bands:
        seen = plain & (rows[f"nobs_{band}"] > 0)
        true = truth[f"flux_{band}"].to_numpy()[seen]
        flux, ivar = rows[f"flux_{band}"][seen], rows[f"flux_ivar_{band}"][seen]
        off = (flux - true) / np.sqrt(1 / ivar + (0.0224 * true) ** 2)
        assert abs(off.mean()) < 4 / np.sqrt(len(off)) + 0.1
        assert off.std() == pytest.approx(1.0, abs=0.3)


def test_the_catalogue_of_another_survey_has_its_psf_in_each_band(other):
    rows = other.tractor
    for band, imaging in other.survey.imaging.items():
        seen = rows[f"psfsize_{band}"][rows[f"nobs_{band}"] > 0]
        assert np.median(seen) == pytest.approx(imaging.psf_fwhm_arcsec, rel=0.12)


def test_extinction_is_the_listed_one_or_lies_between_those_of_neighbouring_wavelengths():
    assert measure.extinction("r", LS_DR10) == 2.165
    survey = example("vis-yjh")
    found = [measure.extinction(band, survey) for band in survey.bands]
    assert 1.592 < found[0] < 2.165
    assert 1.211 > found[1] > found[2] > found[3] > 0.184
    assert found[1] == pytest.approx(1.211 * (0.184 / 1.211) ** (np.log(1.08 / 0.926) / np.log(3.35 / 0.926)))


def test_only_catalogues_of_dr10_have_its_release_number(other, tractor):
    assert set(tractor["release"]) == {10000}
    assert set(other.tractor["release"]) == {10000 if other.survey.layer == "ls-dr10" else 0}
