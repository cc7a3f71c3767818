"""Fast ray tracing of sources through a lens: single precision, and only the pixels that see the source."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import sersic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.astro.lensing import Lens

    Floats = NDArray[np.float32]
    Brightness = Callable[[Floats, Floats], Floats]

RAY_ARCSEC, FINE_RAY_ARCSEC = 0.0525, 0.0328
"""Greatest distance of rays; the second for steep profiles and small sources."""

STEEP_N, SMALL_ARCSEC = 2.5, 0.1
CORE_RAYS, CORE_RAY_ARCSEC = 8.0, (0.0033, 0.01)
"""Rays per half-light radius and Sersic index where a profile's core is seen; their least and greatest distance."""

CORE_SHARE, CENTRE_RAYS = 0.5, 32
"""Radius of the core in half-light radii; rays a pixel around the lens's centre, where neighbours end far apart."""

RAYS_AT_ONCE = 50_000
RIM = 2
"""Pixels over which light is spread to either side."""

_ZERO = np.zeros(1, np.float32)
LIGHT_BEYOND = 2e-4
"""Share of a profile's light that may lie beyond the pixels traced."""


class RayTracer:
    """Traces sources onto a stamp of pixels.

    Parameters
    ----------
    size : int
        Side of the stamp in pixels, odd.
    pixel_scale : float
        Arcsec per pixel.
    lens : Lens, optional
        With centre relative to that of the stamp, arcsec; without one a ray ends where it began.
    turned : (x, y), optional
        The image is turned by a quarter about this point, arcsec.
    for_kernel : bool
        Each ray's light is spread over 5 x 5 pixels, see `_spread`, as a kernel that is not integrated over pixels
        needs it: the light keeps its place and width within a pixel. Otherwise it stays in its pixel.
    """

    def __init__(
        self,
        size: int,
        pixel_scale: float,
        lens: Lens | None = None,
        turned: tuple[float, float] | None = None,
        *,
        for_kernel: bool = False,
    ) -> None:
        self.size, self.pixel_scale, self.lens, self.turned = size, pixel_scale, lens, turned
        self.for_kernel = for_kernel
        axis = ((np.arange(size) - size // 2) * pixel_scale).astype(np.float32)
        self._x, self._y = (np.ascontiguousarray(each) for each in np.broadcast_arrays(axis[None, :], axis[:, None]))
        beta_x, beta_y = self.source_plane(self._x.ravel(), self._y.ravel())
        self._beta = beta_x.reshape(size, size), beta_y.reshape(size, size)
        self._extent = _extent(*self._beta)
        self._centre = (slice(0, 0), slice(0, 0))
        if lens is not None:
            row, column = (round(at / pixel_scale) + size // 2 for at in (lens.y, lens.x))
            self._centre = (slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2))

    def source_plane(self, x: Floats, y: Floats, dx: Floats = _ZERO, dy: Floats = _ZERO) -> tuple[Floats, Floats]:
        """Where rays end that begin at (x + dx, y + dy): float32 arcsec that broadcast together in, two arrays out.

        The deflection of `Lens.deflection` at single precision: 2e-6 arcsec at Einstein radii of a few arcsec. What is
        linear is done on the parts, before they make many rays.
        """
        if self.turned is not None:
            about_x, about_y = np.float32(self.turned[0]), np.float32(self.turned[1])
            x, y, dx, dy = y - about_y + about_x, about_x - x + about_y, dy, -dx
        if self.lens is None:
            return x + dx, y + dy
        lens, one = self.lens, np.float32(1)
        q = np.float32(min(lens.q, 0.999))
        c, s = np.float32(np.cos(lens.phi)), np.float32(np.sin(lens.phi))
        gamma1, gamma2 = np.float32(lens.gamma1), np.float32(lens.gamma2)
        at_x, at_y = np.float32(lens.x), np.float32(lens.y)
        u, v = x - at_x, y - at_y
        along, across = (c * u + s * v) + (c * dx + s * dy), (c * v - s * u) + (c * dy - s * dx)
        radius = q * along
        radius *= radius
        radius += across * across
        np.maximum(radius, np.float32(1e-20), out=radius)
        np.sqrt(radius, out=radius)
        flattening = np.float32(np.sqrt(1 - q * q))
        np.divide(flattening, radius, out=radius)
        along *= radius
        across *= radius
        np.arctan(along, out=along)
        np.arctanh(across, out=across)
        scale = np.float32(lens.theta_e * np.sqrt(q) / flattening)
        beta_x = ((one - gamma1) * u - gamma2 * v + at_x) + ((one - gamma1) * dx - gamma2 * dy)
        beta_y = ((one + gamma1) * v - gamma2 * u + at_y) + ((one + gamma1) * dy - gamma2 * dx)
        beta_x -= scale * c * along
        beta_x += scale * s * across
        beta_y -= scale * s * along
        beta_y -= scale * c * across
        return beta_x, beta_y

    def image(
        self, brightness: Brightness, x: float, y: float, reach: float, rays: int, core: tuple[float, int] = (0.0, 0)
    ) -> NDArray[np.float64]:
        """Image of one source: (size, size) float64, nanomaggies per pixel, without PSF.

        Parameters
        ----------
        brightness : callable
            Two arrays of offsets from the source (float32 arcsec) to one of nanomaggies per square arcsec.
        x, y, reach : float
            Where the source lies in the source plane, and how far its light reaches, arcsec.
        rays : int
            Along each axis of a pixel, which is the mean of rays x rays.
        core : (radius, rays)
            More rays for pixels that see the source within a radius, arcsec.
        """
        distance = np.hypot(self._beta[0] - np.float32(x), self._beta[1] - np.float32(y)) - self._extent
        count = np.where(distance < reach, rays, 0)
        count[self._centre] = np.where(count[self._centre] > 0, max(CENTRE_RAYS, rays), 0)
        count[distance < core[0]] = max(core[1], rays)
        image = np.zeros((self.size + 2 * RIM, self.size + 2 * RIM))  # light may be spread over the edge
        for number in np.unique(count[count > 0]):
            self._fill(image, np.nonzero(count == number), brightness, x, y, int(number))
        return image[RIM:-RIM, RIM:-RIM]

    def _fill(
        self,
        image: NDArray[np.float64],
        pixels: tuple[NDArray[np.intp], ...],
        brightness: Brightness,
        x: float,
        y: float,
        rays: int,
    ) -> None:
        """Fill some pixels of an image that has a RIM, with rays x rays each, RAYS_AT_ONCE rays at a time."""
        area = np.float32((self.pixel_scale / rays) ** 2)
        weights = _spread(rays)
        step = max(1, RAYS_AT_ONCE // max(rays, 1) ** 2)
        for start in range(0, len(pixels[0]), step):
            rows, columns = (each[start : start + step] for each in pixels)
            sub = (((np.arange(rays) + 0.5) / rays - 0.5) * self.pixel_scale).astype(np.float32)
            at_x, at_y = self._x[rows, columns][:, None], self._y[rows, columns][:, None]
            beta_x, beta_y = self.source_plane(at_x, at_y, np.tile(sub, rays), np.repeat(sub, rays))
            beta_x -= np.float32(x)
            beta_y -= np.float32(y)
            light = brightness(beta_x, beta_y).reshape(len(rows), rays, rays) * area
            if not self.for_kernel:
                image[rows + RIM, columns + RIM] = light.sum(axis=(1, 2), dtype=np.float64)
                continue
            parts = weights @ light @ weights.T  # (n, 5, 5), pixel by pixel: too small to start threads
            for up in range(2 * RIM + 1):
                for right in range(2 * RIM + 1):
                    image[rows + up, columns + right] += parts[:, up, right]

    def trace(self, source: Sequence[sersic.Sersic]) -> NDArray[np.float64]:
        """Image of a sum of Sersic profiles: (size, size) float64.

        Lensing conserves surface brightness, so the sum over the unlensed flux is the magnification.
        """
        total = np.zeros((self.size, self.size))
        for part in source:
            fine = part.n > STEEP_N or part.r_half < SMALL_ARCSEC
            rays = self._rays(FINE_RAY_ARCSEC if fine else RAY_ARCSEC)
            apart = np.clip(part.r_half / (CORE_RAYS * max(part.n, 0.5)), *CORE_RAY_ARCSEC)
            core = CORE_SHARE * part.r_half, self._rays(float(apart))
            total += self.image(_profile(part), part.x, part.y, reach_arcsec(part), rays, core)
        return total

    def _rays(self, apart_arcsec: float) -> int:
        return int(np.ceil(self.pixel_scale / apart_arcsec - 1e-6))


def reach_arcsec(part: sersic.Sersic) -> float:
    """Radius beyond which a profile has LIGHT_BEYOND of its light."""
    from scipy.special import gammaincinv

    return float(part.r_half * (gammaincinv(2 * part.n, 1 - LIGHT_BEYOND) / sersic.b_n(part.n)) ** part.n)


def _profile(part: sersic.Sersic) -> Brightness:
    """The brightness of a profile at offsets from its centre, at single precision."""
    b = float(sersic.b_n(part.n))
    peak = np.float32(sersic.half_light_brightness(part.flux, part.r_half, part.n, part.q) * np.exp(b))
    c, s = np.float32(np.cos(part.phi) / part.r_half), np.float32(np.sin(part.phi) / part.r_half)
    flat_c, flat_s = np.float32(c / part.q), np.float32(s / part.q)

    def brightness(x: Floats, y: Floats) -> Floats:
        along, across = c * x, flat_c * y
        along += s * y
        across -= flat_s * x
        squared: Floats = np.square(along, out=along)
        squared += np.square(across, out=across)
        if part.n != 0.5:  # (r / r_half)^(1 / n), by way of logarithms
            np.maximum(squared, np.float32(1e-20), out=squared)
            np.log(squared, out=squared)
            squared *= np.float32(0.5 / part.n)
            np.exp(squared, out=squared)
        squared *= np.float32(-b)
        np.exp(squared, out=squared)
        squared *= peak
        return np.asarray(squared, np.float32)

    return brightness


@functools.cache
def _spread(rays: int) -> Floats:
    """Shares of the light of rays that the five nearest pixels along an axis get: (5, rays) float32.

    Their moments up to the fourth are those of a top-hat as wide as a pixel about the place of each ray: the image of
    a point through a kernel K is then K integrated over pixels, to fourth order, wherever in a pixel the point lies.
    """
    place = (np.arange(rays) + 0.5) / rays - 0.5
    power = np.arange(2 * RIM + 1)[:, None]
    moments = ((place + 0.5) ** (power + 1) - (place - 0.5) ** (power + 1)) / (power + 1)
    return np.linalg.solve(np.arange(-RIM, RIM + 1.0) ** power, moments).astype(np.float32)


def _extent(beta_x: Floats, beta_y: Floats) -> Floats:
    """How far from the end of its central ray the rays of a pixel end, from the next pixels: (s, s) float32 arcsec."""
    extent = np.zeros_like(beta_x)
    for axis in (0, 1):
        step = np.hypot(np.diff(beta_x, axis=axis), np.diff(beta_y, axis=axis))
        before, after = ((slice(None), slice(1, None)), (slice(None), slice(None, -1)))
        if axis == 0:
            before, after = (slice(1, None), slice(None)), (slice(None, -1), slice(None))
        wide = np.zeros_like(extent)
        wide[before] = step
        wide[after] = np.maximum(wide[after], step)
        extent += np.square(wide)
    return np.asarray(0.75 * np.sqrt(extent), np.float32)
