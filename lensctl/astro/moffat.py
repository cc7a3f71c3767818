"""The point spread function of one band at one pointing: an elliptical Moffat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Psf:
    """A Moffat profile of unit flux, (beta - 1)/(pi alpha^2) (1 + r^2/alpha^2)^-beta (Moffat 1969, A&A 3, 455).

    `fwhm` in arcsec; `e1`, `e2` shear the round profile (unit determinant to first order); `beta` sets the wings;
    `pixel_scale` in arcsec per pixel.
    """

    fwhm: float
    beta: float
    e1: float
    e2: float
    pixel_scale: float

    @property
    def alpha_px(self) -> float:
        """Core width alpha in pixels."""
        return float(self.fwhm / self.pixel_scale / 2 / np.sqrt(2 ** (1 / self.beta) - 1))

    @property
    def noise_equivalent_area_px(self) -> float:
        """1 / (integral of the PSF squared), pixels: variance of a PSF flux relative to that of a pixel."""
        return float(np.pi * self.alpha_px**2 * (2 * self.beta - 1) / (self.beta - 1) ** 2)

    def at(self, dx: NDArray[np.float32], dy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fraction of the flux per pixel at offsets in pixels: broadcastable in, float32 out."""
        u = (1 - self.e1) * dx - self.e2 * dy
        v = (1 + self.e1) * dy - self.e2 * dx
        peak = (self.beta - 1) / (np.pi * self.alpha_px**2)
        power: NDArray[np.float32] = (1 + (u * u + v * v) / self.alpha_px**2) ** -self.beta
        return (peak * power).astype(np.float32)

    def kernel(self, size: int) -> NDArray[np.float32]:
        """(size, size) float32 image of the PSF, size odd, normalised to sum to 1."""
        axis = np.arange(size, dtype=np.float32) - size // 2
        image = self.at(axis[None, :], axis[:, None])
        return np.asarray(image / image.sum(dtype=np.float64), np.float32)

    def reach_px(self, flux: float, faintest: float) -> int:
        """Radius in pixels beyond which a star of this flux adds less than `faintest` to a pixel."""
        peak = flux * (self.beta - 1) / (np.pi * self.alpha_px**2)
        return int(np.ceil(self.alpha_px * np.sqrt(max((peak / faintest) ** (1 / self.beta) - 1, 0)))) + 1
