"""Kernels and stamps hold their light at any pixel scale; those of the default survey keep their sizes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.astro import moffat
from lensctl.astro.moffat import Psf
from lensctl.rules.survey import LS_DR10
from lensctl.sky import lenses, render, window
from lensctl.sky.pointings import generator
from tests.toys.small_sky import example


def test_sizes_of_the_default_survey_are_as_ever():
    assert render.kernel_px(LS_DR10) == 65
    assert render.kernel_px(LS_DR10, lenses.KERNEL_WIDTHS) == 33
    assert render.odd_px(lenses.STAMP_ARCSEC, LS_DR10) == 41
    assert lenses.oversample(LS_DR10) == 4
    assert render.Canvas.blank(300, LS_DR10).light.shape == (3, 380, 380)


@pytest.mark.parametrize("name", ["griz", "vis-yjh"])
def test_a_kernel_is_odd_and_contains_the_psf(name):
    survey = example(name)
    size = render.kernel_px(survey)
    assert size % 2 == 1
    axis = np.arange(size, dtype=np.float32) - size // 2
    for imaging in survey.imaging.values():
        psf = Psf.of_psfsize(imaging.psf_fwhm_arcsec, 2.5, survey.pixel_scale_arcsec)
        assert psf.at(axis[None, :], axis[:, None]).sum() > 0.985


@given(length=st.floats(0.1, 50), scale=st.floats(0.03, 1.5))
def test_a_length_is_covered_by_an_odd_number_of_pixels_and_by_no_smaller_one(length, scale):
    found = render.odd_px(length, dataclasses.replace(LS_DR10, pixel_scale_arcsec=scale))
    assert found % 2 == 1
    assert found == 1 or (found - 2) * scale < length * (1 + 1e-9)
    assert length <= found * scale * (1 + 1e-9)


@pytest.mark.parametrize(
    ("r_half", "n", "least"), [(0.3, 1.0, 0.99), (1.2, 1.0, 0.99), (4.0, 1.0, 0.99), (4.5, 4.0, 0.94)]
)
def test_a_profile_is_rendered_with_its_light_and_size_at_any_scale(r_half, n, least):
    survey = example("vis-yjh")
    canvas = render.Canvas.blank(1400, survey)
    flux = 3000.0 * r_half**2  # of one surface brightness
    table = {name: np.array([value]) for name, value in {"r_half": r_half, "n": n, "q": 1.0, "phi": 0.0}.items()}
    table |= {name: np.array([flux]) for name in survey.per_band("flux")}
    canvas.add_profiles(np.array([700.2]), np.array([699.7]), table, np.full(4, 0.002))
    y, x = np.indices(canvas.light.shape[1:]) - canvas.rim
    inside = np.hypot(x - 700.2, y - 699.7) < r_half / survey.pixel_scale_arcsec
    for light in canvas.light:
        assert least * flux < light.sum() < 1.01 * flux
        assert light[inside].sum() == pytest.approx(flux / 2, rel=0.04)


def test_light_seen_through_the_psf_stays_where_it_is():
    survey = example("vis-yjh")
    canvas = render.Canvas.blank(201, survey)
    canvas.add(100.0, 80.0, np.ones((4, 1, 1), np.float32))
    psfs = [Psf.of_psfsize(imaging.psf_fwhm_arcsec, 3.0, 0.1) for imaging in survey.imaging.values()]
    seen = canvas.seen(psfs)
    assert seen.shape == (4, 201, 201)
    assert seen.sum(axis=(1, 2)) == pytest.approx(np.ones(4), rel=1e-3)
    for band, psf in zip(seen, psfs, strict=True):
        assert np.unravel_index(np.argmax(band), band.shape) == (80, 100)
        wide = (band > band.max() / 2).sum() * 0.1**2
        assert wide == pytest.approx(np.pi / 4 * psf.fwhm**2, abs=0.05)


def test_a_star_has_its_flux():
    survey = example("vis-yjh")
    psfs = [Psf.of_psfsize(imaging.psf_fwhm_arcsec, 3.5, 0.1) for imaging in survey.imaging.values()]
    image = np.zeros((4, 301, 301), np.float32)
    render.add_stars(image, np.array([150.3]), np.array([149.6]), np.full((4, 1), 50.0), psfs, np.full(4, 0.002))
    assert image.sum(axis=(1, 2)) == pytest.approx(np.full(4, 50.0), rel=0.02)


def test_a_star_in_the_image_has_the_noise_equivalent_area_that_psfsize_says(plan):
    for p in plan[:5]:
        psfs = window.psfs_of(generator(1, p.index), p)
        image = np.zeros((3, 201, 201), np.float32)
        render.add_stars(image, np.array([100.0]), np.array([100.0]), np.full((3, 1), 1e4), psfs, np.full(3, 1e-3))
        for star, psfsize in zip(image, p.psfsize, strict=True):
            assert (psfsize / (2.3548 * 0.262)) ** 2 * 4 * np.pi == pytest.approx(moffat.nea_px(star), rel=0.005)
