"""How many galaxies there are behind a lens, by magnitude and redshift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SourceCounts:
    """Galaxies between two magnitudes: as many as 10^(slope m), at redshifts p(z|m) ~ z^2 exp(-z/z0) up to z_most.

    z0 = z0_slope m - z0_offset; the form is that of the LSST Science Book (arXiv:0912.0201).
    """

    slope: float = 0.3
    bright_mag: float = 20.0
    faint_mag: float = 28.0
    z0_slope: float = 0.0417
    z0_offset: float = 0.744
    z_most: float = 5.0

    def density(self, mag: ArrayLike) -> Floats:
        """Share of the galaxies between both magnitudes, per magnitude: (...) float64."""
        rate = self.slope * np.log(10)
        span = self.faint_mag - self.bright_mag
        whole = -np.expm1(-rate * span) / rate if rate else span
        return np.asarray(np.exp(rate * (np.asarray(mag) - self.faint_mag)) / whole)

    def z0(self, mag: ArrayLike) -> Floats:
        """Scale of the redshifts, a third of their mean were there no limit: (...) float64."""
        return np.asarray(self.z0_slope * np.asarray(mag, np.float64) - self.z0_offset)

    def share_behind(self, z: ArrayLike, mag: ArrayLike) -> Floats:
        """Share of the galaxies of a magnitude that lie beyond a redshift: (...) float64."""
        from scipy.special import gammaincc

        scale = self.z0(mag)
        beyond = gammaincc(3, self.z_most / scale)
        return np.asarray(np.clip((gammaincc(3, np.asarray(z) / scale) - beyond) / (1 - beyond), 0, 1))

    def redshift_of_share(self, share_behind: ArrayLike, mag: ArrayLike) -> Floats:
        """Redshift beyond which a share of the galaxies of a magnitude lies: (...); the inverse of `share_behind`."""
        from scipy.special import gammaincc, gammainccinv

        scale = self.z0(mag)
        beyond = gammaincc(3, self.z_most / scale)
        return np.asarray(scale * gammainccinv(3, beyond + np.asarray(share_behind) * (1 - beyond)))
