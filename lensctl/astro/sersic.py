"""Sersic profiles: brightness, total flux, half-light radii, and rendering on pixels.

Lengths are arcsec, fluxes nanomaggies. Image axes: x to the right (west), y up (north). `phi` is the angle of the
major axis, in radians counter-clockwise from +x; the position angle east of north is phi - pi/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

REFINEMENTS = ((9, 5), (3, 15))
"""Oversampled blocks around a galaxy's centre: side in pixels, and subpixels per pixel side."""

BLUNTING = 0.2
"""Softening of the central cusp, in subpixels, in case it falls on a sampling point."""

_PIXELS_AT_ONCE = 2_000_000


def b_n(n: ArrayLike) -> NDArray[np.float64]:
    """The coefficient b of a Sersic profile, such that r_half encloses half the light: P(2n, b) = 1/2.

    Parameters
    ----------
    n : (...) float64
        Sersic index, above 0.

    Notes
    -----
    Exact, from the inverse of the regularised incomplete gamma function P; Ciotti & Bertin 1999 (A&A 352, 447)
    give the definition and the expansion 2n - 1/3 + 4/(405 n) + ... .
    """
    from scipy.special import gammaincinv

    result: NDArray[np.float64] = gammaincinv(2.0 * np.asarray(n, np.float64), 0.5)
    return result


def half_light_brightness(flux: ArrayLike, r_half: ArrayLike, n: ArrayLike, q: ArrayLike) -> NDArray[np.float64]:
    """Surface brightness on the half-light ellipse, nanomaggies per square arcsec.

    Parameters
    ----------
    flux, r_half, n, q : broadcastable float64
        Total flux, semi-major half-light radius, Sersic index, axis ratio.

    Notes
    -----
    The total flux to infinity is 2 pi q n r_half^2 I_half e^b b^(-2n) Gamma(2n), Graham & Driver 2005
    (PASA 22, 118, eq. 4), here solved for I_half.
    """
    from scipy.special import gammaln

    n = np.asarray(n, np.float64)
    b = b_n(n)
    log_area = np.log(2 * np.pi * n) + b - 2 * n * np.log(b) + gammaln(2 * n)
    result: NDArray[np.float64] = np.asarray(flux) / (np.asarray(q) * np.square(r_half)) * np.exp(-log_area)
    return result


def radius_at(
    brightness: ArrayLike, flux: ArrayLike, r_half: ArrayLike, n: ArrayLike, q: ArrayLike
) -> NDArray[np.float64]:
    """Semi-major axis, arcsec, at which the profile falls to a brightness; 0 if it is fainter everywhere."""
    ratio = half_light_brightness(flux, r_half, n, q) / np.asarray(brightness)
    root = np.maximum(1 + np.log(np.maximum(ratio, 1e-300)) / b_n(n), 0)
    result: NDArray[np.float64] = np.asarray(r_half) * root ** np.asarray(n, np.float64)
    return result


@dataclass(frozen=True)
class Sersic:
    """One elliptical Sersic profile: centre (arcsec), total flux (nanomaggies), semi-major half-light radius."""

    x: float
    y: float
    flux: float
    r_half: float
    n: float
    q: float = 1.0
    phi: float = 0.0

    def brightness(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Nanomaggies per square arcsec at points (x, y), arcsec.

        Sersic law, I_half exp(-b ((r/r_half)^(1/n) - 1)) (Ciotti & Bertin 1999), with r the semi-major axis of the
        ellipse through the point.
        """
        squared = _ellipse_squared(x - self.x, y - self.y, self.q, self.phi)
        b = b_n(self.n)
        power = (squared / self.r_half**2) ** (0.5 / self.n)
        peak = half_light_brightness(self.flux, self.r_half, self.n, self.q)
        result: NDArray[np.float64] = peak * np.exp(-b * (power - 1))
        return result


@dataclass(frozen=True)
class Shapes:
    """Shapes of many profiles, each (N,) float64: semi-major half-light radius (arcsec), index, axis ratio, angle."""

    r_half: NDArray[np.float64]
    n: NDArray[np.float64]
    q: NDArray[np.float64]
    phi: NDArray[np.float64]


def _ellipse_squared(x: NDArray[np.float64], y: NDArray[np.float64], q: float, phi: float) -> NDArray[np.float64]:
    """Squared semi-major axis of the ellipse through each point, with axis ratio q and angle phi."""
    c, s = np.cos(phi), np.sin(phi)
    along, across = c * x + s * y, (c * y - s * x) / q
    return np.asarray(along * along + across * across)


def stamps(
    shape: Shapes,
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    *,
    size: int,
    pixel_scale: float,
) -> NDArray[np.float32]:
    """Render profiles of unit total flux, integrated over pixels, without PSF.

    Parameters
    ----------
    shape : Shapes
    dx, dy : (N,) float64
        Offset from the centre of the middle pixel, pixels, -0.5 to 0.5.
    size : int
        Side of a stamp in pixels, odd.
    pixel_scale : float
        Arcsec per pixel.

    Returns
    -------
    (N, size, size) float32
        Flux in each pixel. Flux beyond the stamp is lost, so the sum is below 1.

    Notes
    -----
    A pixel is the mean of the profile at the centres of its subpixels: one far out, more near the centre
    (REFINEMENTS), where the profile is steep.
    """
    drawn = np.empty((len(dx), size, size), np.float32)
    step = max(1, _PIXELS_AT_ONCE // size**2)
    profile = np.stack([shape.r_half, shape.n, shape.q, shape.phi, dx, dy]).astype(np.float64)
    for start in range(0, len(dx), step):
        part = profile[:, start : start + step]
        block = _block(part, size, 1, pixel_scale)
        for side, parts in REFINEMENTS:
            inner = min(side, size)
            at = (size - inner) // 2
            block[:, at : at + inner, at : at + inner] = _block(part, inner, parts, pixel_scale)
        drawn[start : start + step] = block
    return drawn


def _block(profile: NDArray[np.float64], side: int, parts: int, pixel_scale: float) -> NDArray[np.float32]:
    """The middle `side` pixels of unit-flux profiles, each the mean of parts x parts points."""
    r_half, n, q, phi, dx, dy = (row[:, None, None].astype(np.float32) for row in profile)
    edge = (side - 1 / parts) / 2
    grid = np.linspace(-edge, edge, side * parts, dtype=np.float32)
    c, s = np.cos(phi) * (pixel_scale / r_half), np.sin(phi) * (pixel_scale / r_half)
    x, y = grid[None, None, :] - dx, grid[None, :, None] - dy
    along, across = c * x + s * y, (c * y - s * x) / q
    squared = along * along + across * across + np.square(BLUNTING / parts * pixel_scale / r_half) / q
    b = b_n(profile[1]).astype(np.float32)[:, None, None]
    peak = half_light_brightness(1.0, profile[0], profile[1], profile[2]) * pixel_scale**2
    np.log(squared, out=squared)
    squared *= 0.5 / n
    np.exp(squared, out=squared)
    squared -= 1
    squared *= -b
    np.exp(squared, out=squared)
    squared *= peak.astype(np.float32)[:, None, None]
    if parts > 1:
        squared = squared.reshape(-1, side, parts, side, parts).mean(axis=(2, 4), dtype=np.float32)
    return np.asarray(squared, np.float32)


def tractor_ellipticity(q: ArrayLike, phi: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tractor's shape_e1, shape_e2 for an axis ratio and an angle.

    |e| = (1 - q)/(1 + q), e1 = |e| cos 2PA, e2 = |e| sin 2PA with PA east of north, as defined on the Legacy Surveys
    catalogue page; PA = phi - pi/2 with RA increasing to the left.
    """
    e = (1 - np.asarray(q, np.float64)) / (1 + np.asarray(q, np.float64))
    twice = 2 * (np.asarray(phi, np.float64) - np.pi / 2)
    return e * np.cos(twice), e * np.sin(twice)
