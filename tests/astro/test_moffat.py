"""A Moffat PSF has its width in arcsec, whatever the pixels, and unit flux."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.astro.moffat import Psf


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
    assert fine.noise_equivalent_area_px * 0.1**2 == pytest.approx(coarse.noise_equivalent_area_px * 0.3**2)
    faintest = 1e-4
    assert fine.reach_px(1.0, faintest / 9) * 0.1 == pytest.approx(coarse.reach_px(1.0, faintest) * 0.3, abs=0.5)
