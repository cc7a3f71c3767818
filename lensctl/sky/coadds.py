"""Writes windows as coadd files in the survey's format: image, invvar, nexp, psfsize, maskbits, tiled, in HDU 1."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.fits.new_files import new_fits
from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey
    from lensctl.sky.dirt import Planes
    from lensctl.sky.pointings import Pointing

TILE_PX = 100
COARSEST_STEP_NANOMAGGY = 1e-4
STEPS_IN_NOISE = 50
"""Quantisation of images: as in DR10, and finer where the noise of an exposure has fewer steps than this."""

STEPS_IN_INVVAR = 16
"""Quantisation of invvar: steps in its own noise on blank sky, which is that of the image it is made from."""

LOSSLESS = 0.0
DR_VERSION = 10000

MOCK_COMMENTS = (
    "A MOCK made by lensctl sky: nothing in this file was observed.",
    "Its layout follows that of DESI Legacy Imaging Surveys DR10.",
)

Card = dict[str, Any]


def mock_cards() -> list[Card]:
    """Header cards that mark a file as a mock."""
    flag: list[Card] = [{"name": "MOCK", "value": True, "comment": "made by lensctl sky, not observed"}]
    return flag + [{"name": "COMMENT", "value": text} for text in MOCK_COMMENTS]


def release(survey: Survey) -> int:
    """Number of the data release, if the survey is one of DR10's; else 0."""
    return DR_VERSION if survey.layer == LS_DR10.layer else 0


def folder(root: Path, pointing: Pointing) -> Path:
    """Folder of a brick's coadds, as on the server."""
    return root / pointing.survey.bricks.folders[-1] / pointing.brick.folder / pointing.brick.name


def file_name(pointing: Pointing, kind: str, band: str = "") -> str:
    """Name of one plane's file, such as legacysurvey-0959p805-image-g.fits.fz."""
    return f"{pointing.survey.bricks.prefix}-{pointing.brick.name}-{kind}{'-' if band else ''}{band}.fits.fz"


def image_step(noise_nanomaggy: float) -> float:
    """Quantisation of images with this noise in one exposure, nanomaggies."""
    return min(COARSEST_STEP_NANOMAGGY, noise_nanomaggy / STEPS_IN_NOISE)


def invvar_step(pointing: Pointing, band: int) -> float:
    """Quantisation of a band's invvar, 1/nanomaggy^2."""
    nexp, sky, gain = pointing.nobs[band], pointing.sky[band], pointing.gain[band]
    return gain * nexp / sky / float(np.sqrt(gain * nexp * sky)) / STEPS_IN_INVVAR


def write(root: Path, pointing: Pointing, planes: Planes) -> None:
    """Write a window's coadds; a missing band has no files."""
    place = folder(root, pointing)
    place.mkdir(parents=True, exist_ok=True)
    for i, band in enumerate(pointing.survey.bands):
        if band == pointing.dirt.missing_band:
            continue
        step = image_step(pointing.survey.imaging[band].noise_nanomaggy)
        # cfitsio takes an absolute step as a negative quantisation level
        _write(place, pointing, "image", band, planes.image[i], -step)
        _write(place, pointing, "invvar", band, planes.invvar[i], -invvar_step(pointing, i))
        _write(place, pointing, "nexp", band, planes.nexp[i], None)
        psfsize = np.where(planes.nexp[i] > 0, np.float32(pointing.psfsize[i]), np.float32(0))
        _write(place, pointing, "psfsize", band, psfsize, LOSSLESS)
    _write(place, pointing, "maskbits", "", planes.maskbits, None)


def _write(place: Path, pointing: Pointing, kind: str, band: str, data: NDArray[Any], level: float | None) -> None:
    name = file_name(pointing, kind, band)
    compression: dict[str, Any] = {"compress": "RICE", "tile_dims": (TILE_PX, TILE_PX)}
    if level == LOSSLESS:
        compression |= {"compress": "GZIP", "qlevel": LOSSLESS}
    elif level is not None:
        dither = 1 + zlib.crc32(name.encode()) % 10000
        compression |= {"qlevel": level, "qmethod": "SUBTRACTIVE_DITHER_2", "dither_seed": dither}
    with new_fits(place / name) as file:
        file.write_image(np.ascontiguousarray(data), header=_header(pointing, kind, band), **compression)
        file[0].write_keys(mock_cards(), clean=False)


_MEANING = {"image": "image", "invvar": "wtmap", "nexp": "expmap", "psfsize": "psfsize", "maskbits": "maskbits"}


def _header(pointing: Pointing, kind: str, band: str) -> list[Card]:
    brick, survey, wcs = pointing.brick, pointing.survey, pointing.wcs().wcs
    version = release(survey)
    origin: list[tuple[str, Any, str]] = [("SURVEY", survey.name, "survey of which this is a mock")]
    if version:
        origin = [
            ("SURVEY", "DECaLS", "mock of the DECam Legacy Survey"),
            ("LSDR", f"DR{version // 1000}", "Data release whose layout this follows"),
            ("DRVERSIO", version, "Survey data release number"),
        ]
    values = [
        *origin,
        ("LEGPIPEV", "lensctl", "no legacypipe: see MOCK"),
        ("BRICKNAM", brick.name, "LegacySurvey brick RRRr[pm]DDd"),
        ("BRICKID", brick.id, "LegacySurvey brick id"),
        ("RAMIN", brick.ra1, "Brick RA min"),
        ("RAMAX", brick.ra2, "Brick RA max"),
        ("DECMIN", brick.dec1, "Brick Dec min"),
        ("DECMAX", brick.dec2, "Brick Dec max"),
        ("BRICKRA", brick.ra, "Brick center"),
        ("BRICKDEC", brick.dec, "Brick center"),
        ("WINDOWX0", pointing.x0, "[pix] window's first column in the brick"),
        ("WINDOWY0", pointing.y0, "[pix] window's first row in the brick"),
        ("CTYPE1", "RA---TAN", "TANgent plane"),
        ("CTYPE2", "DEC--TAN", "TANgent plane"),
        ("CRVAL1", float(wcs.crval[0]), "Reference RA"),
        ("CRVAL2", float(wcs.crval[1]), "Reference Dec"),
        ("CRPIX1", float(wcs.crpix[0]), "Reference x"),
        ("CRPIX2", float(wcs.crpix[1]), "Reference y"),
        ("CD1_1", float(wcs.cd[0, 0]), "CD matrix"),
        ("CD1_2", 0.0, "CD matrix"),
        ("CD2_1", 0.0, "CD matrix"),
        ("CD2_2", float(wcs.cd[1, 1]), "CD matrix"),
        ("EQUINOX", 2000.0, "Equinox"),
        ("IMTYPE", kind, "LegacySurvey image type"),
        ("PRODTYPE", _MEANING[kind], "NOAO image type"),
    ]
    if band:
        i = survey.bands.index(band)
        values += [
            ("FILTER", band, "Band"),
            ("PSFSIZE", pointing.psfsize[i], "[arcsec] FWHM of the Gaussian of the PSF's NEA"),
            ("SKYLEVEL", pointing.sky[i], "[nanomaggy/pix] sky in one exposure"),
            ("EGAIN", pointing.gain[i], "[electron/nanomaggy] gain of one exposure"),
        ]
    if kind == "image":
        values += [
            ("MAGZERO", 22.5, "Magnitude zeropoint"),
            ("BUNIT", "nanomaggy", "AB mag = 22.5 - 2.5*log10(nanomaggy)"),
        ]
    if kind == "psfsize":
        values += [("BUNIT", "arcsec", "FWHM of the Gaussian of the PSF's NEA")]
    if kind == "invvar":
        values += [("BUNIT", "1/nanomaggy^2", "Inverse variance, sky and sources")]
    return [{"name": name, "value": value, "comment": comment} for name, value, comment in values] + mock_cards()
