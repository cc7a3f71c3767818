"""Renders profiles, arcs and stars on the pixels of a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import sersic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.astro.moffat import Psf
    from lensctl.rules.survey import Survey
    from lensctl.sky.objects.features import Components

STAMP_SIDES = (9, 13, 19, 27, 37, 51, 71, 101, 151, 221, 321, 451, 641, 901, 1281, 1801, 2561)
FAINTEST_SIGMA = 0.08
"""Profiles are rendered out to where they add this many sky sigmas to a pixel."""

KERNEL_WIDTHS = 12.3
"""Side of a PSF's image, in widths of the broadest band's median PSF."""

_RIM_PX = 8  # beyond half a kernel


def odd_px(length_arcsec: float, survey: Survey) -> int:
    """The smallest odd number of pixels that covers a length."""
    return 2 * int(np.ceil((length_arcsec / survey.pixel_scale_arcsec - 1) / 2)) + 1


def kernel_px(survey: Survey, widths: float = KERNEL_WIDTHS) -> int:
    """Side of an image of any band's PSF, odd: so many widths of the broadest band's median PSF."""
    return odd_px(widths * max(imaging.psf_fwhm_arcsec for imaging in survey.imaging.values()), survey)


@dataclass
class Canvas:
    """Light in a window and a rim around it, without PSF, for light that the PSF scatters into the window.

    `light` is (B, S + 2 rim, S + 2 rim) float32 nanomaggies.
    """

    light: NDArray[np.float32]
    rim: int
    survey: Survey

    @classmethod
    def blank(cls, side: int, survey: Survey) -> Canvas:
        """An empty canvas for a window of `side` pixels."""
        rim = kernel_px(survey) // 2 + _RIM_PX
        return cls(np.zeros((len(survey.bands), side + 2 * rim, side + 2 * rim), np.float32), rim, survey)

    def add(self, x: float, y: float, stamp: NDArray[np.float32]) -> None:
        """Add a (B, s, s) stamp centred on the window's pixel nearest to (x, y), clipped at the canvas."""
        _add(self.light, round(x) + self.rim, round(y) + self.rim, stamp)

    def add_profiles(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        table: Components,
        sigma: NDArray[np.float64],
    ) -> None:
        """Add Sersic profiles.

        Parameters
        ----------
        x, y : (C,) float64
            Centres in window pixels, 0-based.
        table : mapping of (C,) float64
            r_half, n, q, phi, and flux_BAND of each band.
        sigma : (B,) float64
            Sky noise per pixel, nanomaggies: sets how far out a profile is rendered.
        """
        fluxes = np.stack([table[name] for name in self.survey.per_band("flux")])
        scale = self.survey.pixel_scale_arcsec
        flux_in_sigmas = (fluxes / sigma[:, None]).max(axis=0)
        faintest = FAINTEST_SIGMA / scale**2
        reach = sersic.radius_at(faintest, np.maximum(flux_in_sigmas, 1e-9), table["r_half"], table["n"], table["q"])
        reach = np.minimum(reach, 10 * table["r_half"]) / scale + 2
        sides = np.array(STAMP_SIDES)
        side = sides[np.minimum(np.searchsorted(sides, 2 * reach + 1), len(sides) - 1)]
        column, row = np.rint(x).astype(int), np.rint(y).astype(int)
        for size in np.unique(side):
            which = np.flatnonzero(side == size)
            shape = sersic.Shapes(*(table[name][which] for name in ("r_half", "n", "q", "phi")))
            stamps = sersic.stamps(shape, (x - column)[which], (y - row)[which], size=int(size), pixel_scale=scale)
            for i, stamp in zip(which, stamps, strict=True):
                light = fluxes[:, i, None, None].astype(np.float32) * stamp
                _add(self.light, int(column[i]) + self.rim, int(row[i]) + self.rim, light)

    def seen(self, psfs: Sequence[Psf]) -> NDArray[np.float32]:
        """The window convolved with each band's PSF: (B, S, S) float32."""
        from scipy import fft

        bands, side = self.light.shape[:2]
        size = kernel_px(self.survey)
        padded = fft.next_fast_len(side + size, real=True)
        at = size // 2 + self.rim
        seen = np.empty((bands, side - 2 * self.rim, side - 2 * self.rim), np.float32)
        for band, psf in enumerate(psfs):
            kernel = fft.rfft2(psf.kernel(size), (padded, padded), workers=1)
            kernel *= fft.rfft2(self.light[band], (padded, padded), workers=1)
            whole = fft.irfft2(kernel, (padded, padded), workers=1, overwrite_x=True)
            seen[band] = whole[at : at + seen.shape[1], at : at + seen.shape[2]]
        return seen


def _add(canvas: NDArray[np.float32], column: int, row: int, stamp: NDArray[np.float32]) -> None:
    half = stamp.shape[1] // 2
    height, width = canvas.shape[1:]
    top, left = max(row - half, 0), max(column - half, 0)
    bottom, right = min(row + half + 1, height), min(column + half + 1, width)
    if top < bottom and left < right:
        y, x = row - half, column - half
        canvas[:, top:bottom, left:right] += stamp[:, top - y : bottom - y, left - x : right - x]


def add_stars(
    image: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    fluxes: NDArray[np.float64],
    psfs: Sequence[Psf],
    sigma: NDArray[np.float64],
) -> None:
    """Add stars to a (B, S, S) convolved image, as PSFs on pixels at their positions, (N,) window pixels.

    Each is rendered out to where it adds FAINTEST_SIGMA to a pixel; fluxes are (B, N) nanomaggies, sigma (B,).
    """
    side = image.shape[1]
    for band, psf in enumerate(psfs):
        for i, flux in enumerate(fluxes[band]):
            reach = min(psf.reach_px(flux, FAINTEST_SIGMA * sigma[band]), side)
            left, right = max(round(x[i]) - reach, 0), min(round(x[i]) + reach + 1, side)
            top, bottom = max(round(y[i]) - reach, 0), min(round(y[i]) + reach + 1, side)
            if left < right and top < bottom:
                dx = (np.arange(left, right) - x[i]).astype(np.float32)
                dy = (np.arange(top, bottom) - y[i]).astype(np.float32)
                image[band, top:bottom, left:right] += flux * psf.on_pixels(dx[None, :], dy[:, None])
