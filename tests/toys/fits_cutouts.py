"""FITS cutouts as other surveys hand them out: a cube, an image a band, or a file a band."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits


def header_of(ra: float, dec: float, size: int, scale_arcsec: float, **cards: object) -> fits.Header:
    """The header of a cutout with the galaxy in the middle; a card that is None is left out."""
    scale, middle = scale_arcsec / 3600, (size + 1) / 2
    known = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CRPIX1": middle,
        "CRPIX2": middle,
        "CDELT1": -scale,
        "CDELT2": scale,
        "BUNIT": "nanomaggy",
    }
    return fits.Header({key: value for key, value in (known | cards).items() if value is not None})


def write_cube(path: Path, image: np.ndarray, header: fits.Header) -> None:
    """A cube of (S, S, B) pixels."""
    fits.PrimaryHDU(np.moveaxis(image, 2, 0), header).writeto(path, overwrite=True)


def write_images(path: Path, image: np.ndarray, header: fits.Header, names: Sequence[str]) -> None:
    """An image extension of each name, of (S, S, B) pixels."""
    images = [fits.ImageHDU(np.ascontiguousarray(image[..., b]), header, name) for b, name in enumerate(names)]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path, overwrite=True)


def write_compressed(path: Path, image: np.ndarray, header: fits.Header, names: Sequence[str]) -> None:
    """The same, tile-compressed without loss."""
    images = [
        fits.CompImageHDU(
            np.ascontiguousarray(image[..., b]), header, name, compression_type="GZIP_2", quantize_level=0
        )
        for b, name in enumerate(names)
    ]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path, overwrite=True)
