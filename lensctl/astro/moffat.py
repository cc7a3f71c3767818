"""The point spread function of one band at one pointing: an elliptical Moffat, sized by its noise-equivalent area."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGMA_TO_FWHM = 2.3548
"""FWHM of a Gaussian in standard deviations, as in the survey's definition of psfsize."""

_NODES = (-np.sqrt(0.15), 0.0, np.sqrt(0.15))
_WEIGHTS = (5 / 18, 8 / 18, 5 / 18)
_NEA_SIDE_PX = 65


def psfsize_arcsec(nea_px: float, pixel_scale: float) -> float:
    """FWHM of the Gaussian with a noise-equivalent area (pixels): psfsize as legacypipe defines it (coadds.py)."""
    return float(SIGMA_TO_FWHM * pixel_scale * np.sqrt(nea_px / (4 * np.pi)))


def nea_of_psfsize_px(psfsize: float, pixel_scale: float) -> float:
    """Noise-equivalent area in pixels of a psfsize in arcsec: the inverse of `psfsize_arcsec`."""
    return float(4 * np.pi * (psfsize / (SIGMA_TO_FWHM * pixel_scale)) ** 2)


def nea_px(image: NDArray[np.floating]) -> float:
    """Noise-equivalent area (sum P)^2 / sum P^2 of a light profile on pixels.

    The variance of a flux fitted with this profile, in units of a pixel's (King 1983, PASP 95, 163).
    """
    light = np.asarray(image, np.float64)
    return float(light.sum() ** 2 / np.square(light).sum())


@dataclass(frozen=True)
class Psf:
    """A Moffat profile of unit flux, (beta - 1)/(pi alpha^2) (1 + r^2/alpha^2)^-beta (Moffat 1969, A&A 3, 455).

    `fwhm` is its half-maximum width in arcsec, before pixels; `e1`, `e2` shear the round profile (unit determinant to
    first order); `beta` sets the wings; `pixel_scale` in arcsec per pixel.
    """

    fwhm: float
    beta: float
    e1: float
    e2: float
    pixel_scale: float

    @classmethod
    def of_psfsize(cls, psfsize: float, beta: float, pixel_scale: float, e1: float = 0.0, e2: float = 0.0) -> Psf:
        """The Moffat whose image on pixels has the noise-equivalent area of a psfsize (arcsec).

        Its half-maximum width is about three quarters of psfsize.

        Raises
        ------
        InputError
            A psfsize that no PSF can have on these pixels.
        """
        from scipy.optimize import brentq

        wanted = nea_of_psfsize_px(psfsize, pixel_scale)

        def excess(log_fwhm: float) -> float:
            return float(np.log(cls(float(np.exp(log_fwhm)), beta, e1, e2, pixel_scale).nea_px / wanted))

        low, high = np.log(0.3 * pixel_scale), np.log(2 * psfsize + pixel_scale)
        if not (psfsize > 0 and excess(low) < 0 < excess(high)):
            raise InputError(
                f"no PSF has a psfsize of {psfsize:g} arcsec on pixels of {pixel_scale:g} arcsec",
                "psfsize is the FWHM of the Gaussian with the PSF's noise-equivalent area, at least some 0.8 pixels",
            )
        return cls(float(np.exp(brentq(excess, low, high, xtol=1e-6))), beta, e1, e2, pixel_scale)

    @classmethod
    def near_psfsize(cls, psfsize: float, beta: float, pixel_scale: float) -> Psf:
        """A round `of_psfsize` by interpolation, for many: psfsize holds within 1e-4."""
        sizes, widths = _sizes(beta, pixel_scale)
        if not sizes[0] <= psfsize <= sizes[-1]:
            return cls.of_psfsize(psfsize, beta, pixel_scale)
        return cls(float(np.exp(np.interp(np.log(psfsize), np.log(sizes), np.log(widths)))), beta, 0, 0, pixel_scale)

    @property
    def alpha_px(self) -> float:
        """Core width alpha in pixels."""
        return float(self.fwhm / self.pixel_scale / 2 / np.sqrt(2 ** (1 / self.beta) - 1))

    @property
    def nea_px(self) -> float:
        """Noise-equivalent area of the PSF's image, integrated over pixels and centred on one."""
        axis = np.arange(_NEA_SIDE_PX, dtype=np.float32) - _NEA_SIDE_PX // 2
        return float(1 / np.square(self.on_pixels(axis[None, :], axis[:, None]), dtype=np.float64).sum())

    @property
    def psfsize(self) -> float:
        """FWHM of the Gaussian with the same noise-equivalent area, arcsec."""
        return psfsize_arcsec(self.nea_px, self.pixel_scale)

    def at(self, dx: NDArray[np.float32], dy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fraction of the flux per pixel at offsets in pixels: broadcastable in, float32 out."""
        u = (1 - self.e1) * dx - self.e2 * dy
        v = (1 + self.e1) * dy - self.e2 * dx
        peak = (self.beta - 1) / (np.pi * self.alpha_px**2)
        power: NDArray[np.float32] = (1 + (u * u + v * v) / self.alpha_px**2) ** -self.beta
        return (peak * power).astype(np.float32)

    def on_pixels(self, dx: NDArray[np.float32], dy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fraction of the flux in each pixel whose centre has these offsets: 3 x 3 Gauss-Legendre points a pixel."""
        nodes = [(np.float32(node), weight) for node, weight in zip(_NODES, _WEIGHTS, strict=True)]
        parts = [wx * wy * self.at(dx + x, dy + y) for x, wx in nodes for y, wy in nodes]
        return np.asarray(sum(parts), np.float32)

    def kernel(self, size: int) -> NDArray[np.float32]:
        """(size, size) float32 of the profile at pixel centres, size odd, normalised to sum to 1.

        For light that is integrated over pixels already: a kernel of `on_pixels` would do so twice.
        """
        axis = np.arange(size, dtype=np.float32) - size // 2
        image = self.at(axis[None, :], axis[:, None])
        return np.asarray(image / image.sum(dtype=np.float64), np.float32)

    def reach_px(self, flux: float, faintest: float) -> int:
        """Radius in pixels beyond which a star of this flux adds less than `faintest` to a pixel."""
        peak = flux * (self.beta - 1) / (np.pi * self.alpha_px**2)
        return int(np.ceil(self.alpha_px * np.sqrt(max((peak / faintest) ** (1 / self.beta) - 1, 0)))) + 1


@functools.lru_cache(maxsize=16)
def _sizes(beta: float, pixel_scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """psfsize and FWHM of round Moffats, arcsec: of widths from 0.8 to 12 pixels."""
    widths = np.geomspace(0.8, 12, 200) * pixel_scale
    return np.array([Psf(width, beta, 0, 0, pixel_scale).psfsize for width in widths]), widths
