"""Coadds are compressed and described as the survey's are."""

from __future__ import annotations

import pytest
from astropy.io import fits

from lensctl.sky import coadds


def test_coadds_are_compressed_as_the_survey_compresses_them(root, plan):
    p = next(p for p in plan if not p.dirt.missing_band)
    file = coadds.folder(root, p) / f"legacysurvey-{p.brick.name}-image-r.fits.fz"
    raw = fits.open(file, disable_image_compression=True)[1].header
    assert (raw["ZCMPTYPE"], raw["ZTILE1"], raw["ZTILE2"]) == ("RICE_1", 100, 100)
    assert raw["ZQUANTIZ"] == "SUBTRACTIVE_DITHER_2"
    header = fits.open(file)[1].header
    assert (header["BUNIT"], header["LSDR"], header["BRICKNAM"]) == ("nanomaggy", "DR10", p.brick.name)
    assert (header["CRPIX1"], header["CRPIX2"]) == (1800.5 - p.x0, 1800.5 - p.y0)
    assert header["CRVAL1"] == pytest.approx(p.brick.ra, abs=1e-9)
    assert header["CD2_2"] == -header["CD1_1"] == pytest.approx(0.262 / 3600)


def test_coadds_of_another_survey_have_its_bands_scale_and_names(other):
    p = next(p for p in other.plan if not p.dirt.missing_band)
    place = other.root / "south" / "coadd" / p.brick.folder / p.brick.name
    bands, start = other.survey.bands, f"{other.survey.bricks.prefix}-{p.brick.name}"
    expected = {f"{start}-{kind}-{band}.fits.fz" for kind in ("image", "invvar", "nexp") for band in bands}
    assert {file.name for file in place.iterdir()} == expected | {f"{start}-maskbits.fits.fz"}
    for band in bands:
        hdu = fits.open(place / f"{start}-image-{band}.fits.fz")[1]
        assert hdu.data.shape == (p.size, p.size)
        assert hdu.header["FILTER"] == band
        assert hdu.header["CD2_2"] == pytest.approx(other.survey.pixel_scale_arcsec / 3600)
        assert hdu.header["CRPIX1"] == (other.survey.bricks.side_px + 1) / 2 - p.x0
        assert 0.5 < hdu.header["PSFFWHM"] / other.survey.imaging[band].psf_fwhm_arcsec < 2


def test_only_coadds_of_the_dr10_layer_name_that_release(other):
    p = other.plan[-1]
    header = fits.open(coadds.folder(other.root, p) / coadds.file_name(p, "maskbits"))[1].header
    if other.survey.layer == "ls-dr10":
        assert (header["SURVEY"], header["LSDR"], header["DRVERSIO"]) == ("DECaLS", "DR10", 10000)
    else:
        assert header["SURVEY"] == other.survey.name
        assert not {"LSDR", "DRVERSIO"} & set(header)


def test_images_are_quantised_as_dr10_s_are_and_finer_where_noise_is_low():
    assert [coadds.image_step(noise) for noise in (0.02, 0.006, 0.0005)] == [1e-4, 1e-4, pytest.approx(1e-5)]
