"""A Moffat PSF has its width in arcsec, whatever the pixels, unit flux, and the area that psfsize says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.astro import moffat
from lensctl.astro.moffat import Psf
from lensctl.rules.errors import InputError


@pytest.mark.parametrize("pixel_scale", [0.1, 0.3])
def test_the_psf_falls_to_half_at_half_its_width_and_has_unit_flux(pixel_scale):
    psf = Psf(1.2, 3.0, 0.0, 0.0, pixel_scale)
    at = psf.at(np.array([0.0, 0.6 / pixel_scale], np.float32), np.zeros(2, np.float32))
    assert at[1] / at[0] == pytest.approx(0.5, rel=1e-3)
    axis = np.arange(-200, 201, dtype=np.float32)
    assert psf.at(axis[None, :], axis[:, None]).sum() == pytest.approx(1.0, rel=2e-3)
    assert psf.kernel(21).sum() == pytest.approx(1.0, rel=1e-5)


def test_the_same_psf_covers_the_same_sky_on_finer_pixels():
    coarse, fine = (Psf(1.2, 3.0, 0.02, -0.01, scale) for scale in (0.3, 0.1))
    assert fine.nea_px * 0.1**2 == pytest.approx(coarse.nea_px * 0.3**2, rel=0.06)  # but for the pixels themselves
    faintest = 1e-4
    assert fine.reach_px(1.0, faintest / 9) * 0.1 == pytest.approx(coarse.reach_px(1.0, faintest) * 0.3, abs=0.5)


def on_fine_pixels(psf: Psf, side: int, fine: int) -> np.ndarray:
    """The PSF integrated over pixels the slow way: the mean of fine x fine points in each."""
    axis = ((np.arange(side * fine) + 0.5) / fine - side / 2).astype(np.float32)
    points = psf.at(axis[None, :], axis[:, None]).astype(float)
    return points.reshape(side, fine, side, fine).mean(axis=(1, 3))


@settings(max_examples=20, deadline=None)
@given(psfsize=st.floats(0.8, 2.5), beta=st.floats(2.2, 4.0), e1=st.floats(-0.05, 0.05))
def test_the_psf_of_a_psfsize_has_its_noise_equivalent_area_on_pixels(psfsize, beta, e1):
    psf = Psf.of_psfsize(psfsize, beta, 0.262, e1)
    area = 1 / np.square(on_fine_pixels(psf, 75, 11)).sum()  # of unit flux, a little of which lies outside
    assert (psfsize / (2.3548 * 0.262)) ** 2 * 4 * np.pi == pytest.approx(area, rel=0.005)
    assert psf.psfsize == pytest.approx(psfsize, rel=1e-4)
    assert moffat.psfsize_arcsec(moffat.nea_of_psfsize_px(psfsize, 0.262), 0.262) == pytest.approx(psfsize)


def test_the_psf_falls_to_half_at_three_quarters_of_psfsize():
    widths = [Psf.of_psfsize(1.3, beta, 0.262).fwhm / 1.3 for beta in (2.2, 2.5, 3.5)]
    assert widths == pytest.approx([0.66, 0.71, 0.80], abs=0.01)


def test_a_gaussian_has_the_noise_equivalent_area_of_its_width():
    y, x = np.mgrid[-40:41, -40:41]
    gaussian = np.exp(-(x**2 + y**2) / 2 / 2.5**2)
    assert moffat.nea_px(7 * gaussian) == pytest.approx(4 * np.pi * 2.5**2, rel=1e-6)
    assert moffat.psfsize_arcsec(moffat.nea_px(gaussian), 0.262) == pytest.approx(2.3548 * 2.5 * 0.262, rel=1e-6)


def test_light_on_pixels_is_the_mean_over_the_pixel():
    psf = Psf.of_psfsize(1.1, 2.5, 0.262, 0.02, -0.01)
    axis = np.arange(-10, 11, dtype=np.float32)
    assert psf.on_pixels(axis[None, :], axis[:, None]) == pytest.approx(on_fine_pixels(psf, 21, 15), rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("psfsize", [0.0, -1.0, 0.1, float("nan")])
def test_a_psfsize_that_no_psf_can_have_on_these_pixels_is_refused(psfsize):
    with pytest.raises(InputError, match=r"no PSF has a psfsize of .* arcsec on pixels of 0\.262 arcsec"):
        Psf.of_psfsize(psfsize, 2.5, 0.262)
