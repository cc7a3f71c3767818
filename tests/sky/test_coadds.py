"""Coadds are compressed and described as the survey's are."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from astropy.io import fits

from lensctl.crossmatch import crossmatch
from lensctl.cutout import cutout
from lensctl.io.tables.files import read_table
from lensctl.sky import coadds
from tests.toys.small_sky import plane


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
    expected = {f"{start}-{kind}-{band}.fits.fz" for kind in ("image", "invvar", "nexp", "psfsize") for band in bands}
    assert {file.name for file in place.iterdir()} == expected | {f"{start}-maskbits.fits.fz"}
    for band in bands:
        hdu = fits.open(place / f"{start}-image-{band}.fits.fz")[1]
        assert hdu.data.shape == (p.size, p.size)
        assert hdu.header["FILTER"] == band
        assert hdu.header["CD2_2"] == pytest.approx(other.survey.pixel_scale_arcsec / 3600)
        assert hdu.header["CRPIX1"] == (other.survey.bricks.side_px + 1) / 2 - p.x0
        assert 0.5 < hdu.header["PSFSIZE"] / other.survey.imaging[band].psf_fwhm_arcsec < 2


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


def test_psfsize_lies_beside_the_coadds_as_a_plane_that_cutouts_take(sky, tmp_path):
    """Numbers wherever there is an exposure, as the catalogue has them; not NaN."""
    root, plan = sky.root, sky.plan
    bare = {p.brick.name for p in plan if p.dirt.missing_band or p.dirt.unexposed_band}
    crossmatch(root / "lenses.csv", str(root / "south" / "tractor" / "*" / "*.fits"), tmp_path / "positives.parquet")
    cutout(
        tmp_path / "positives.parquet",
        tmp_path / "c.zarr",
        source="coadd",
        root=root,
        planes="psfsize,invvar",
        workers=1,
    )
    rows = read_table(str(tmp_path / "positives.parquet")).to_pylist()
    psfsize = zarr.open_group(tmp_path / "c.zarr", mode="r")["psfsize"][:]
    assert psfsize.shape == (len(rows), 101, 101, 3)
    seen = 0
    for row, planes in zip(rows, psfsize, strict=True):
        if row["brickname"] in bare:
            continue
        for i, band in enumerate("grz"):
            assert planes[..., i] == pytest.approx(np.full((101, 101), row[f"psfsize_{band}"]), rel=1e-6)
            seen += 1
    assert seen > 30


def test_psfsize_is_zero_where_there_is_no_exposure(root, plan):
    p = next(p for p in plan if p.dirt.unexposed_band)
    band = p.dirt.unexposed_band
    psfsize, nexp = plane(root, p, "psfsize", band), plane(root, p, "nexp", band)
    assert (psfsize[nexp == 0] == 0).all()
    assert np.unique(psfsize[nexp > 0]) == pytest.approx([p.psfsize["grz".index(band)]])


def test_invvar_is_quantised_finer_than_its_noise(root, plan):
    p = next(p for p in plan if not p.dirt.missing_band)
    for i, band in enumerate("grz"):
        image, invvar = plane(root, p, "image", band), plane(root, p, "invvar", band)
        blank = (abs(image) < 2 * p.noise[i]) & (plane(root, p, "nexp", band) == p.nobs[i]) & (invvar > 0)
        exact = p.gain[i] * p.nobs[i] / (p.sky[i] + image[blank])
        assert np.std(invvar[blank] - exact) < 0.1 * exact.std()
