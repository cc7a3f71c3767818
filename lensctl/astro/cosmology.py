"""Distances and volumes of a flat universe of matter and a cosmological constant."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.cosmology import FlatLambdaCDM
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cosmology:
    """A flat universe: Hubble constant in km/s/Mpc, and density of matter in units of the critical one."""

    h0_km_s_mpc: float = 70.0
    omega_m: float = 0.3

    @functools.cached_property
    def astropy(self) -> FlatLambdaCDM:
        """The same as astropy's."""
        from astropy.cosmology import FlatLambdaCDM

        return FlatLambdaCDM(H0=self.h0_km_s_mpc, Om0=self.omega_m)

    def comoving_mpc(self, z: ArrayLike) -> Floats:
        """Comoving distance at redshifts above 0: (...) Mpc."""
        return np.asarray(self.astropy.comoving_distance(np.asarray(z, np.float64)).value)

    def distance_ratio(self, z_lens: ArrayLike, z_source: ArrayLike) -> Floats:
        """D_ls / D_s, of angular diameter distances: (...) float64, 0 where the source lies before the lens.

        In a flat universe both are comoving distances over 1 + z of the source, so that it cancels.
        """
        lens, source = self.comoving_mpc(z_lens), self.comoving_mpc(z_source)
        return np.asarray(np.clip(1 - lens / source, 0, None))

    def distance_modulus(self, z: ArrayLike) -> Floats:
        """Apparent less absolute magnitude: (...) mag."""
        return np.asarray(self.astropy.distmod(np.asarray(z, np.float64)).value)

    def volume_mpc3_sr(self, z: ArrayLike) -> Floats:
        """Comoving volume out to a redshift, per steradian: (...) Mpc^3."""
        return np.asarray(self.comoving_mpc(z) ** 3 / 3)

    def redshift_of_share(self, share: ArrayLike, z_low: float, z_high: float) -> Floats:
        """Redshift below which a share of the comoving volume between two redshifts lies: (...) float64."""
        grid = np.linspace(z_low, z_high, 4097)
        volume = self.volume_mpc3_sr(grid)
        return np.asarray(np.interp(volume[0] + np.asarray(share) * (volume[-1] - volume[0]), volume, grid))
