"""How many early-type galaxies there are of each velocity dispersion, and the Einstein radius of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

LIGHT_KM_S = 299_792.458
ARCSEC = 180 * 3600 / np.pi
"""Arcsec per radian."""


def einstein_radius_arcsec(sigma_km_s: ArrayLike, distance_ratio: ArrayLike) -> Floats:
    """Einstein radius of a singular isothermal sphere, 4 pi (sigma/c)^2 D_ls/D_s: (...) arcsec."""
    return np.asarray(4 * np.pi * (np.asarray(sigma_km_s) / LIGHT_KM_S) ** 2 * np.asarray(distance_ratio) * ARCSEC)


def dispersion_km_s(theta_e_arcsec: ArrayLike, distance_ratio: ArrayLike) -> Floats:
    """Velocity dispersion that has an Einstein radius; infinite where D_ls/D_s is 0: (...) km/s."""
    with np.errstate(divide="ignore"):
        squared = np.asarray(theta_e_arcsec) / (4 * np.pi * ARCSEC * np.asarray(distance_ratio, np.float64))
    return np.asarray(LIGHT_KM_S * np.sqrt(squared))


@dataclass(frozen=True)
class DispersionFunction:
    """The velocity-dispersion function of Choi, Park & Vogeley (2007, ApJ 658, 884) for early-type galaxies.

    phi(sigma) d sigma = phi* (sigma/sigma*)^alpha exp(-(sigma/sigma*)^beta) beta / Gamma(alpha/beta) d sigma / sigma,
    of which the integral is phi*. No evolution with redshift.
    """

    phi_star_mpc3: float = 2.74e-3
    sigma_star_km_s: float = 161.0
    alpha: float = 2.32
    beta: float = 2.67

    def density(self, sigma_km_s: ArrayLike) -> Floats:
        """phi(sigma): (...) galaxies per Mpc^3 and km/s."""
        from scipy.special import gamma

        x = np.asarray(sigma_km_s, np.float64) / self.sigma_star_km_s
        shape = x**self.alpha * np.exp(-(x**self.beta)) * self.beta / gamma(self.alpha / self.beta)
        return np.asarray(self.phi_star_mpc3 * shape / np.asarray(sigma_km_s))

    def moment(self, power: float) -> float:
        """Integral of phi (sigma/sigma*)^power: phi* Gamma((alpha + power)/beta) / Gamma(alpha/beta), per Mpc^3."""
        from scipy.special import gamma

        return float(self.phi_star_mpc3 * gamma((self.alpha + power) / self.beta) / gamma(self.alpha / self.beta))

    def share_above(self, sigma_km_s: ArrayLike, power: float = 0.0) -> Floats:
        """Share of that integral above a velocity dispersion: (...) from 1 to 0."""
        from scipy.special import gammaincc

        x = np.minimum(np.asarray(sigma_km_s, np.float64) / self.sigma_star_km_s, 1e6)
        return np.asarray(gammaincc((self.alpha + power) / self.beta, x**self.beta))

    def dispersion_of_share(self, share_above: ArrayLike, power: float = 0.0) -> Floats:
        """Velocity dispersion above which a share of that integral lies: (...) km/s; the inverse of `share_above`."""
        from scipy.special import gammainccinv

        t = gammainccinv((self.alpha + power) / self.beta, np.asarray(share_above, np.float64))
        return np.asarray(self.sigma_star_km_s * t ** (1 / self.beta))
