"""Rendering: from a lens and a source to light in the pixels of a cutout, in every band, through its PSF."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.moffat import Psf
from lensctl.astro.ray_tracing import RayTracer
from lensctl.injection.drawing import Geometry, Source
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.injection.stamps import Stamps
    from lensctl.rules.survey import Survey

STAMP_ARCSEC, LARGE_STAMP_ARCSEC = 15.9, 18.5
"""Sides of the stamp that is traced; the larger one for Einstein radii above LARGE_THETA_E_ARCSEC."""

LARGE_THETA_E_ARCSEC = 3.0
KERNEL_ARCSEC = 17.0


@dataclass(frozen=True)
class Light:
    """What an injection adds to a cutout.

    Parameters
    ----------
    pixels : (B, S, S) float64
        Nanomaggies, extinguished, through the PSF.
    flux : (B,) float64
        Of the arcs, extinguished, before the PSF takes some of it beyond the cutout.
    magnification : (B,) float64
        Sum of the traced image over the unlensed flux.
    """

    pixels: NDArray[np.float64]
    flux: NDArray[np.float64]
    magnification: NDArray[np.float64]


def magnitudes_of(survey: Survey, colours: tuple[float, float]) -> NDArray[np.float64]:
    """Magnitudes in each band relative to the detection band, of a source with two colours: (B,) float64.

    Bands that the colours do not reach lie on the line through their neighbours, in magnitude over log wavelength.

    Raises
    ------
    InputError
        The survey's colours do not reach a band, and it does not say its wavelength.
    """
    known = {survey.detection_band: 0.0}
    for _ in survey.colours:
        for (bluer, redder), colour in zip(survey.colours, colours, strict=True):
            if redder in known:
                known.setdefault(bluer, known[redder] + colour)
            elif bluer in known:
                known.setdefault(redder, known[bluer] - colour)
    if others := [band for band in survey.bands if band not in known]:
        if not survey.imaging:
            raise InputError(
                f"the colours of survey {survey.name} do not reach band {others[0]}",
                "give `imaging` of each band in its file: wavelengths tell where it lies",
            )
        place = {band: float(np.log(survey.imaging[band].wavelength_um)) for band in survey.bands}
        order = sorted(known, key=place.__getitem__)
        at, magnitude = [place[band] for band in order], [known[band] for band in order]
        known |= {band: float(np.interp(place[band], at, magnitude)) for band in others}
    return np.array([known[band] for band in survey.bands])


def odd_px(arcsec: float, pixel_scale: float) -> int:
    """The smallest odd number of pixels that covers a length."""
    return 2 * int(np.ceil((arcsec / pixel_scale - 1) / 2 - 1e-9)) + 1


class Renderer:
    """Renders injections into cutouts of one survey.

    Parameters
    ----------
    survey : Survey
    size : int
        Side of the cutouts, pixels.
    """

    def __init__(self, survey: Survey, size: int) -> None:
        self.survey, self.size, self.scale = survey, size, survey.pixel_scale_arcsec
        self.kernel_px = odd_px(KERNEL_ARCSEC, self.scale)
        self._last: tuple[Sequence[NDArray[np.float32]], int, NDArray[np.complex64]] | None = None

    def shares(self, source: Source) -> NDArray[np.float64]:
        """Share of each group of a source in its unlensed flux in each band: (B, G), rows add up to 1."""
        weights = [
            weight * 10 ** (-0.4 * magnitudes_of(self.survey, (-bluer, -bluer)))
            for weight, bluer in zip(source.weights, source.bluer_mag, strict=True)
        ]
        table = np.stack(weights, axis=1)
        return np.asarray(table / table.sum(axis=1, keepdims=True))

    def traced(
        self,
        geometry: Geometry,
        source: Source,
        stamps: Stamps | None = None,
        *,
        lensed: bool = True,
        turned: tuple[float, float] | None = None,
    ) -> NDArray[np.float64]:
        """Images of a source of unit flux in each band, without PSF: (B, s, s) float64; the sum is the magnification.

        Parameters
        ----------
        lensed : bool
            False: the source alone, at the lens's Einstein radius, in the direction of its position.
        turned : (x, y), optional
            Turned by a quarter about this point, arcsec.
        """
        lens = geometry.lens
        wide = lens.theta_e > LARGE_THETA_E_ARCSEC
        side = odd_px(LARGE_STAMP_ARCSEC if wide else STAMP_ARCSEC, self.scale)
        tracer = RayTracer(side, self.scale, lens if lensed else None, turned, for_kernel=True)
        x, y = geometry.source_x, geometry.source_y
        if not lensed:
            direction = np.arctan2(y, x)
            x, y = float(lens.theta_e * np.cos(direction)), float(lens.theta_e * np.sin(direction))
        at = lens.x + x, lens.y + y
        if source.stamp is not None and stamps is not None:
            image = stamps.traced(source, at, tracer)
            return np.repeat(image[None], len(self.survey.bands), axis=0)
        images = [
            tracer.trace([dataclasses.replace(part, x=part.x + at[0], y=part.y + at[1]) for part in group])
            for group in source.groups
        ]
        return np.tensordot(self.shares(source), np.stack(images), axes=1)

    def seen(self, images: NDArray[np.float64], kernels: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Images (B, s, s) convolved with a kernel a band, (k, k), on the pixels of a cutout: (B, S, S) float32."""
        from scipy import fft

        side, kernel_px = images.shape[-1], kernels[0].shape[-1]
        whole = side + kernel_px - 1
        padded = fft.next_fast_len(whole, real=True)
        light = fft.rfft2(images.astype(np.float32), (padded, padded), workers=1)
        light *= self._transforms(kernels, padded)
        full = fft.irfft2(light, (padded, padded), workers=1, overwrite_x=True)[:, :whole, :whole]
        return _centred(full, self.size)

    def _transforms(self, kernels: Sequence[NDArray[np.float32]], padded: int) -> NDArray[np.complex64]:
        """Fourier transforms of kernels; those of the last call are kept, as a host's injections follow each other."""
        from scipy import fft

        if self._last is None or self._last[0] is not kernels or self._last[1] != padded:
            self._last = kernels, padded, fft.rfft2(np.stack(kernels), (padded, padded), workers=1)
        return self._last[2]

    def kernels(self, psfsizes: NDArray[np.float64], beta: float) -> tuple[NDArray[np.float32], ...]:
        """Point-sampled kernels of Moffat PSFs with these psfsizes (arcsec), one a band; not to be changed.

        The light is integrated over pixels already, so a kernel is not, while psfsize is that of the PSF on pixels.
        """
        return _moffats(tuple(map(float, psfsizes)), beta, self.scale, self.kernel_px)


@functools.lru_cache(maxsize=8)
def _moffats(
    psfsizes: tuple[float, ...], beta: float, pixel_scale: float, side: int
) -> tuple[NDArray[np.float32], ...]:
    return tuple(Psf.near_psfsize(size, beta, pixel_scale).kernel(side) for size in psfsizes)


def _centred(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The middle `size` pixels of (B, s, s) images of odd side, with zeros beyond them."""
    out = np.zeros((len(images), size, size), np.float32)
    side = images.shape[-1]
    low = (size - 1) // 2 - side // 2  # where the images' first pixel comes to lie
    start, stop = max(low, 0), min(low + side, size)
    part = slice(start - low, stop - low)
    out[:, start:stop, start:stop] = images[:, part, part]
    return out


def azimuthal_mean(images: NDArray[np.float64], x_px: float, y_px: float) -> NDArray[np.float64]:
    """Images (B, s, s) averaged in rings about a point, offset from the middle pixel by (x, y) px; flux is kept."""
    side = images.shape[-1]
    axis = np.arange(side) - side // 2
    radius = np.hypot(axis[None, :] - x_px, axis[:, None] - y_px)
    low = np.floor(radius).astype(int)
    part = radius - low
    rings = low.max() + 2
    area = np.bincount(low.ravel(), (1 - part).ravel(), rings) + np.bincount(low.ravel() + 1, part.ravel(), rings)
    out = np.empty_like(images)
    for band, image in enumerate(images):
        light = np.bincount(low.ravel(), ((1 - part) * image).ravel(), rings)
        light += np.bincount(low.ravel() + 1, (part * image).ravel(), rings)
        profile = light / np.maximum(area, 1e-9)
        spread = (1 - part) * profile[low] + part * profile[low + 1]
        out[band] = spread * (image.sum() / max(spread.sum(), 1e-30))
    return out


def centroid_px(image: NDArray[np.float64]) -> tuple[float, float]:
    """Centre of light (x, y) of an image, offset from its middle pixel, px."""
    axis = np.arange(image.shape[-1]) - image.shape[-1] // 2
    total = image.sum()
    return float((image.sum(axis=0) * axis).sum() / total), float((image.sum(axis=1) * axis).sum() / total)
