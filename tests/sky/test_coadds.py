"""Coadds are compressed and described as the survey's are."""

from __future__ import annotations

import pytest
from astropy.io import fits

from lensctl.sky import coadds


def test_coadds_are_compressed_as_the_survey_compresses_them(root, plan):
    p = next(p for p in plan if not p.dirt.missing_band)
    file = coadds.folder(root, p.brick) / f"legacysurvey-{p.brick.name}-image-r.fits.fz"
    raw = fits.open(file, disable_image_compression=True)[1].header
    assert (raw["ZCMPTYPE"], raw["ZTILE1"], raw["ZTILE2"]) == ("RICE_1", 100, 100)
    assert raw["ZQUANTIZ"] == "SUBTRACTIVE_DITHER_2"
    header = fits.open(file)[1].header
    assert (header["BUNIT"], header["LSDR"], header["BRICKNAM"]) == ("nanomaggy", "DR10", p.brick.name)
    assert (header["CRPIX1"], header["CRPIX2"]) == (1800.5 - p.x0, 1800.5 - p.y0)
    assert header["CRVAL1"] == pytest.approx(p.brick.ra, abs=1e-9)
    assert header["CD2_2"] == -header["CD1_1"] == pytest.approx(0.262 / 3600)
