"""The gnomonic (TAN) projection of a FITS header: sky to pixel, and pixel scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Tan:
    """A TAN world coordinate system.

    Parameters
    ----------
    crval : (ra, dec) of the reference point in degrees
    crpix : (x, y) of the reference point; 1-based, as in FITS
    cd : (cd1_1, cd1_2, cd2_1, cd2_2) in degrees per pixel
    """

    crval: tuple[float, float]
    crpix: tuple[float, float]
    cd: tuple[float, float, float, float]

    @classmethod
    def of(cls, header: Mapping[str, str | float | int | bool]) -> Tan:
        """The projection of a header with CTYPE, CRVAL, CRPIX and CD cards.

        Raises ValueError if a card is missing, the projection is not RA---TAN/DEC--TAN, or CD is singular.
        """
        kinds = [str(header.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2)]
        if kinds != ["RA---TAN", "DEC--TAN"]:
            raise ValueError(f"projection {kinds} is not TAN")
        try:
            number = {key: float(header[key]) for key in ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2")}
            cd = [float(header.get(f"CD{i}_{j}", 0.0)) for i in (1, 2) for j in (1, 2)]
        except KeyError as error:
            raise ValueError(f"no {error.args[0]} in the header") from error
        if not all(map(math.isfinite, (*number.values(), *cd))):
            raise ValueError("a coordinate in the header is not a number")
        if not abs(number["CRVAL2"]) < 90:  # at the pole, the standard turns the image by its default LONPOLE
            raise ValueError("CRVAL2 is not a declination between the poles")
        if not abs(cd[0] * cd[3] - cd[1] * cd[2]) > 0:
            raise ValueError("the CD matrix is singular")
        crval, crpix = (number["CRVAL1"], number["CRVAL2"]), (number["CRPIX1"], number["CRPIX2"])
        return cls(crval, crpix, (cd[0], cd[1], cd[2], cd[3]))

    @property
    def pixel_scale_arcsec(self) -> float:
        """Side of a square pixel of equal area, arcsec, rounded to six decimals."""
        return round(3600.0 * math.sqrt(abs(self.cd[0] * self.cd[3] - self.cd[1] * self.cd[2])), 6)

    def to_pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixel coordinates of positions.

        Parameters
        ----------
        ra, dec : (N,) float64, degrees

        Returns
        -------
        x, y : (N,) float64
            0-based: the centre of the first pixel is 0. NaN beyond 90 degrees from the reference point.
        """
        alpha = np.radians(np.asarray(ra, float) - self.crval[0])
        delta, delta0 = np.radians(np.asarray(dec, float)), math.radians(self.crval[1])
        sin_delta, cos_delta, cos_alpha = np.sin(delta), np.cos(delta), np.cos(alpha)
        cosine = math.sin(delta0) * sin_delta + math.cos(delta0) * cos_delta * cos_alpha
        with np.errstate(divide="ignore", invalid="ignore"):
            cosine = np.where(cosine > 0, cosine, np.nan)
            xi = np.degrees(cos_delta * np.sin(alpha) / cosine)
            eta = np.degrees((math.cos(delta0) * sin_delta - math.sin(delta0) * cos_delta * cos_alpha) / cosine)
        a, b, c, d = self.cd
        determinant = a * d - b * c
        x = (d * xi - b * eta) / determinant + self.crpix[0] - 1.0
        y = (a * eta - c * xi) / determinant + self.crpix[1] - 1.0
        return np.asarray(x, np.float64), np.asarray(y, np.float64)


def nearest_pixel(coordinate: NDArray[np.float64]) -> NDArray[np.int64]:
    """The pixel whose centre is nearest to each finite 0-based coordinate; ties are rounded up."""
    return np.asarray(np.floor(coordinate + 0.5), np.int64)
