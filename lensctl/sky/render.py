"""Renders profiles, arcs and stars on the pixels of a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import sersic
from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.astro.moffat import Psf
    from lensctl.sky.features import Components

PAD_PX = 40
"""Rim rendered around a window, for light that the PSF scatters into it."""

STAMP_SIDES = (9, 13, 19, 27, 37, 51, 71, 101, 151, 221, 321, 451)
FAINTEST_SIGMA = 0.08
"""Profiles are rendered out to where they add this many sky sigmas to a pixel."""

KERNEL_PX = 65


@dataclass
class Canvas:
    """Light in a window and its rim: (3, S + 2 PAD, S + 2 PAD) float32 nanomaggies, without PSF."""

    light: NDArray[np.float32]

    @classmethod
    def blank(cls, side: int) -> Canvas:
        """An empty canvas for a window of `side` pixels."""
        return cls(np.zeros((3, side + 2 * PAD_PX, side + 2 * PAD_PX), np.float32))

    def add(self, x: float, y: float, stamp: NDArray[np.float32]) -> None:
        """Add a (3, s, s) stamp centred on the window's pixel nearest to (x, y), clipped at the canvas."""
        _add(self.light, round(x) + PAD_PX, round(y) + PAD_PX, stamp)

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
            flux_g, flux_r, flux_z, r_half, n, q, phi.
        sigma : (3,) float64
            Sky noise per pixel, nanomaggies: sets how far out a profile is rendered.
        """
        fluxes = np.stack([table[f"flux_{band}"] for band in LS_DR10.bands])
        flux_in_sigmas = (fluxes / sigma[:, None]).max(axis=0)
        faintest = FAINTEST_SIGMA / LS_DR10.pixel_scale_arcsec**2
        reach = sersic.radius_at(faintest, np.maximum(flux_in_sigmas, 1e-9), table["r_half"], table["n"], table["q"])
        reach = np.minimum(reach, 10 * table["r_half"]) / LS_DR10.pixel_scale_arcsec + 2
        sides = np.array(STAMP_SIDES)
        side = sides[np.minimum(np.searchsorted(sides, 2 * reach + 1), len(sides) - 1)]
        column, row = np.rint(x).astype(int), np.rint(y).astype(int)
        for size in np.unique(side):
            which = np.flatnonzero(side == size)
            shape = sersic.Shapes(*(table[name][which] for name in ("r_half", "n", "q", "phi")))
            stamps = sersic.stamps(shape, (x - column)[which], (y - row)[which], size=int(size))
            for i, stamp in zip(which, stamps, strict=True):
                light = fluxes[:, i, None, None].astype(np.float32) * stamp
                _add(self.light, int(column[i]) + PAD_PX, int(row[i]) + PAD_PX, light)

    def seen(self, psfs: tuple[Psf, Psf, Psf]) -> NDArray[np.float32]:
        """The window convolved with each band's PSF: (3, S, S) float32."""
        from scipy import fft

        side = self.light.shape[1]
        padded = fft.next_fast_len(side + KERNEL_PX, real=True)
        at = KERNEL_PX // 2 + PAD_PX
        seen = np.empty((3, side - 2 * PAD_PX, side - 2 * PAD_PX), np.float32)
        for band, psf in enumerate(psfs):
            kernel = fft.rfft2(psf.kernel(KERNEL_PX), (padded, padded), workers=1)
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
    psfs: tuple[Psf, Psf, Psf],
    sigma: NDArray[np.float64],
) -> None:
    """Add stars to a (3, S, S) convolved image, as PSFs at their positions, (N,) window pixels.

    Each is rendered out to where it adds FAINTEST_SIGMA to a pixel; fluxes are (3, N) nanomaggies, sigma (3,).
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
                image[band, top:bottom, left:right] += flux * psf.at(dx[None, :], dy[:, None])
