"""Strong lensing by a singular isothermal ellipsoid (SIE) with external shear, in closed form.

Angles on the sky are arcsec, axes as in `sersic`: x to the right, y up, `phi` counter-clockwise from +x.

Einstein radius convention: the convergence is kappa = theta_e sqrt(q) / (2 sqrt(q^2 x^2 + y^2)) with x along the
major axis, so the critical curve of the unsheared lens encloses the area pi theta_e^2 for any q.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

_ROUNDEST = 1 - 1e-9  # the formulas are 0/0 at q = 1; here they equal the SIS to 1e-9
_DIRECTIONS, _FEWER_DIRECTIONS = 4096, 720


@dataclass(frozen=True)
class Lens:
    """A singular isothermal ellipsoid with external shear.

    `theta_e` is the Einstein radius in arcsec, `q` the axis ratio of the convergence, `phi` the angle of its major
    axis, `gamma1` and `gamma2` the shear of the potential (gamma1 (x^2 - y^2)/2 + gamma2 x y), `x`, `y` the centre.
    A positive gamma1 stretches images along x.
    """

    theta_e: float
    q: float = 1.0
    phi: float = 0.0
    gamma1: float = 0.0
    gamma2: float = 0.0
    x: float = 0.0
    y: float = 0.0

    def deflection(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Deflection angle at image positions: (...) arcsec in, two (...) arcsec out.

        Kormann, Schneider & Bartelmann 1994 (A&A 284, 285), with the major axis along x; the shear acts about
        the lens centre. The SIE deflection, undefined at the centre, is set to 0 there.
        """
        u, v = np.asarray(x, np.float64) - self.x, np.asarray(y, np.float64) - self.y
        q = min(self.q, _ROUNDEST)
        c, s = np.cos(self.phi), np.sin(self.phi)
        along, across = c * u + s * v, c * v - s * u
        radius = np.sqrt(q * q * along * along + across * across)
        radius = np.where(radius > 0, radius, np.inf)
        flattening = np.sqrt(1 - q * q)
        scale = self.theta_e * np.sqrt(q) / flattening
        a = scale * np.arctan(flattening * along / radius)
        b = scale * np.arctanh(flattening * across / radius)
        return (
            c * a - s * b + self.gamma1 * u + self.gamma2 * v,
            s * a + c * b + self.gamma2 * u - self.gamma1 * v,
        )

    def source_plane(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Source-plane position of (x, y), by the lens equation beta = theta - alpha(theta)."""
        ax, ay = self.deflection(x, y)
        return np.asarray(x) - ax, np.asarray(y) - ay

    def convergence(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Surface density in units of the critical density: (...) arcsec in, (...) out.

        Kormann, Schneider & Bartelmann 1994, with the major axis along x.
        """
        u, v = np.asarray(x, np.float64) - self.x, np.asarray(y, np.float64) - self.y
        c, s = np.cos(self.phi), np.sin(self.phi)
        along, across = c * u + s * v, c * v - s * u
        with np.errstate(divide="ignore"):
            kappa: NDArray[np.float64] = (
                self.theta_e * np.sqrt(self.q) / (2 * np.sqrt(self.q**2 * along * along + across * across))
            )
        return kappa

    def magnification(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Signed magnification of a point image at (x, y): 1 / ((1 - kappa)^2 - |gamma|^2).

        An isothermal lens, elliptical or not, has shear -kappa e^(2 i angle) (Kormann, Schneider & Bartelmann
        1994), to which the external shear is added.
        """
        u, v = np.asarray(x, np.float64) - self.x, np.asarray(y, np.float64) - self.y
        kappa = self.convergence(x, y)
        angle = 2 * np.arctan2(v, u)
        shear1, shear2 = self.gamma1 - kappa * np.cos(angle), self.gamma2 - kappa * np.sin(angle)
        with np.errstate(divide="ignore"):
            mu: NDArray[np.float64] = 1 / ((1 - kappa) ** 2 - shear1**2 - shear2**2)
        return mu

    def images(self, source_x: float, source_y: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions of all images of a point source, by direction from the lens: two (K,) arrays, arcsec.

        The deflection of an SIE depends only on direction, so an image at distance r in direction e solves
        r (e - Gamma e) = beta + alpha(e). The two sides are parallel in the image directions, which are therefore the
        zeros of a function of one angle; r follows and must be positive. Images closer together than 1/4096 of the
        circle (pairs merging on the critical curve) may be missed.
        """

        def misalignment(angle: NDArray[np.float64]) -> NDArray[np.float64]:
            lx, ly, rx, ry = self._sides(angle, source_x, source_y)
            return lx * ry - ly * rx

        edges = np.linspace(-np.pi, np.pi, _DIRECTIONS + 1) + 1e-4 * np.sqrt(2)
        values = misalignment(edges)
        crossing = np.flatnonzero(np.signbit(values[:-1]) != np.signbit(values[1:]))
        low, high, sign = edges[crossing], edges[crossing + 1], np.sign(values[crossing])
        for _ in range(50):
            middle = (low + high) / 2
            before = np.sign(misalignment(middle)) == sign
            low, high = np.where(before, middle, low), np.where(before, high, middle)
        angle = (low + high) / 2
        lx, ly, rx, ry = self._sides(angle, source_x, source_y)
        distance = (lx * rx + ly * ry) / (lx * lx + ly * ly)
        real = distance > 0
        return self.x + (distance * np.cos(angle))[real], self.y + (distance * np.sin(angle))[real]

    def image_count(self, source_x: float, source_y: float) -> int:
        """Number of images of a point source, as `images` finds them, but for pairs closer than 1/720 of the circle."""
        angle = np.linspace(-np.pi, np.pi, _FEWER_DIRECTIONS + 1) + 1e-4 * np.sqrt(2)
        lx, ly, rx, ry = self._sides(angle, source_x, source_y)
        crossing = np.signbit(lx * ry - ly * rx)
        ahead = lx * rx + ly * ry > 0  # the image is in this direction, not the opposite one
        return int(np.count_nonzero((crossing[:-1] != crossing[1:]) & ahead[:-1]))

    def _sides(self, angle: NDArray[np.float64], source_x: float, source_y: float) -> tuple[NDArray[np.float64], ...]:
        """Both sides of the equation of `images` in some directions: e - Gamma e, and beta + alpha(e) - Gamma e."""
        bx, by = source_x - self.x, source_y - self.y
        ex, ey = np.cos(angle), np.sin(angle)
        sheared_x, sheared_y = self.gamma1 * ex + self.gamma2 * ey, self.gamma2 * ex - self.gamma1 * ey
        ax, ay = self.deflection(self.x + ex, self.y + ey)
        return ex - sheared_x, ey - sheared_y, bx + ax - sheared_x, by + ay - sheared_y


def lensed_image(
    lens: Lens,
    brightness: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    *,
    size: int,
    pixel_scale: float,
    oversample: int = 4,
) -> NDArray[np.float64]:
    """Ray-trace an extended source onto pixels, without PSF.

    Parameters
    ----------
    lens : Lens
        With centre relative to the centre of the stamp.
    brightness : callable
        Maps source-plane positions (x, y), arcsec from the centre of the stamp, to nanomaggies per square arcsec.
    size : int
        Side of the stamp, pixels.
    pixel_scale : float
        Arcsec per pixel.
    oversample : int
        Each pixel is the mean of oversample x oversample rays.

    Returns
    -------
    (size, size) float64
        Nanomaggies per pixel. Lensing conserves surface brightness, so the sum divided by the source flux is the
        magnification.
    """
    edge = (size - 1 / oversample) / 2 * pixel_scale
    grid = np.linspace(-edge, edge, size * oversample)
    bx, by = lens.source_plane(*np.meshgrid(grid, grid))
    fine = brightness(bx, by) * pixel_scale**2
    coarse: NDArray[np.float64] = fine.reshape(size, oversample, size, oversample).mean(axis=(1, 3))
    return coarse
