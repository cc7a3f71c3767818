"""Photon noise of coadds: the gain that invvar tells of, and the noise of light that is added.

For exposures of one sky the variance of a pixel is v = v0 (1 + I/S), with I its brightness, S the sky's and v0 the
variance of blank sky; the gain of the coadd is S/v0 electrons per nanomaggy. The weights of a coadd are made from the
same counts as its pixels, so that this holds pixel by pixel, noise included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLANK_SIGMA, BRIGHT_SIGMA = 3.0, 10.0
BRIGHTEST_NANOMAGGY = 10.0
NEIGHBOURS = 200
MOST_SPREAD = 0.06
"""Largest spread (10th to 90th percentile over the median) of v0 among the blank pixels nearest to a bright one."""

_ROUNDS, _MOST_PIXELS, _LEAST_PIXELS = 4, 3000, 30
_MAD = 1.4826


@dataclass(frozen=True)
class Sky:
    """Brightness of the sky, nanomaggies a pixel, as the slope of the variance tells; its error, and pixels used."""

    nanomaggy: float
    error: float
    pixels: int


@dataclass(frozen=True)
class Sample:
    """Bright pixels of one or more images, and what is blank around each: all (N,) float64.

    `flux` is I, `variance` 1/invvar, both of the pixel; `blank_flux` and `blank_variance` are (N, NEIGHBOURS).
    """

    flux: NDArray[np.float64]
    variance: NDArray[np.float64]
    blank_flux: NDArray[np.float64]
    blank_variance: NDArray[np.float64]


def sample_of(
    image: NDArray[np.float32],
    invvar: NDArray[np.float32],
    maskbits: NDArray[np.integer] | None = None,
    most: int = 1500,
) -> Sample:
    """Bright pixels of one image in one band, each with the NEIGHBOURS blank pixels nearest to it.

    Parameters
    ----------
    image, invvar : (H, W) float32
        Nanomaggies and 1/nanomaggy^2; not finite or 0 where there are no data.
    maskbits : (H, W) int, optional
        Pixels with any bit are left out.
    most : int
        Bright pixels taken, evenly over the image.

    Notes
    -----
    Bright: above 10 sigma and below 10 nanomaggies, where nothing saturates. Blank: within 3 sigma of zero.
    """
    from scipy.spatial import cKDTree

    good = np.isfinite(image) & np.isfinite(invvar) & (invvar > 0)
    if maskbits is not None:
        good &= maskbits == 0
    signal = np.zeros(image.shape)
    signal[good] = image[good] * np.sqrt(invvar[good])
    blank = np.argwhere(good & (abs(signal) < BLANK_SIGMA))
    bright = np.argwhere(good & (signal > BRIGHT_SIGMA) & (image < BRIGHTEST_NANOMAGGY))
    if len(blank) < NEIGHBOURS or not len(bright):
        return Sample(*(np.empty(shape) for shape in ((0,), (0,), (0, NEIGHBOURS), (0, NEIGHBOURS))))
    bright = bright[np.linspace(0, len(bright) - 1, min(most, len(bright))).astype(int)]
    near = blank[cKDTree(blank).query(bright, NEIGHBOURS)[1]]
    flux, variance = image.astype(np.float64), 1 / np.where(good, invvar, 1).astype(np.float64)
    at, around = tuple(bright.T), (near[..., 0], near[..., 1])
    return Sample(flux[at], variance[at], flux[around], variance[around])


def joined(samples: list[Sample]) -> Sample:
    """Several images' pixels as one sample."""
    return Sample(*(np.concatenate([getattr(s, name) for s in samples]) for name in Sample.__dataclass_fields__))


def sky_of(sample: Sample) -> Sky | None:
    """Brightness of the sky from the slope of variance with brightness; None where there are too few pixels for it.

    Notes
    -----
    v0 of a bright pixel is the median of v/(1 + I/S) of the blank ones around it; the pixel is left out where these
    spread by more than MOST_SPREAD, as v0 steps from exposure to exposure. 1/S is the Theil-Sen slope (with an
    intercept, 68 % interval) of v/v0 on I. S and v0 are found in turn, beginning without the correction of the blanks.
    """
    from scipy.stats import theilslopes

    found: Sky | None = None
    some = np.linspace(0, len(sample.flux) - 1, min(_MOST_PIXELS, len(sample.flux))).astype(int)
    sample = Sample(*(getattr(sample, name)[some] for name in Sample.__dataclass_fields__))
    for _ in range(_ROUNDS):
        tilt = 0.0 if found is None else 1 / found.nanomaggy
        blank = sample.blank_variance / (1 + tilt * sample.blank_flux)
        low, v0, high = np.percentile(blank, (10, 50, 90), axis=1) if len(blank) else (np.empty(0),) * 3
        use = v0 > 0
        if found is not None:
            use &= high - low <= MOST_SPREAD * v0
        rows = np.flatnonzero(use)
        if len(rows) < _LEAST_PIXELS:
            return None
        slope, _, least, most = theilslopes(sample.variance[rows] / v0[rows], sample.flux[rows], alpha=0.68)
        if not slope > 0:
            return None
        found = Sky(float(1 / slope), float((most - least) / 2 / slope**2), len(rows))
    return found


def blank_variance(image: NDArray[np.float32], invvar: NDArray[np.float32]) -> NDArray[np.float64]:
    """v0 of each image and band, the median of 1/invvar over blank pixels: (N, S, S, B) in, (N, B) float64; or NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        blank = (invvar > 0) & (abs(image) * np.sqrt(invvar) < BLANK_SIGMA)
        variance = np.where(blank, 1 / invvar.astype(np.float64), np.nan)
    few = blank.sum(axis=(1, 2)) < NEIGHBOURS
    variance[np.broadcast_to(few[:, None, None, :], variance.shape)] = np.nan
    flat = variance.reshape(len(image), -1, image.shape[-1])
    out = np.full((len(image), image.shape[-1]), np.nan)
    for i in range(len(image)):
        for b in range(image.shape[-1]):
            values = flat[i, :, b]
            values = values[np.isfinite(values)]
            if len(values):
                out[i, b] = np.median(values)
    return out


def share_in_pixel(image: NDArray[np.float32], invvar: NDArray[np.float32], inner_px: int) -> NDArray[np.float64]:
    """Variance of blank sky times invvar, of each image and band: below 1 where neighbours share their noise.

    Parameters
    ----------
    image, invvar : (N, S, S, B) float32
    inner_px : int
        Half side of the central square that is left out.

    Returns
    -------
    (N, B) float64
        The square of 1.4826 times the median absolute deviation of I sqrt(invvar) over pixels below 3 sigma; NaN where
        fewer than NEIGHBOURS are.
    """
    size, bands = image.shape[1], image.shape[-1]
    away = np.ones((size, size), bool)
    middle = size // 2
    away[middle - inner_px : middle + inner_px + 1, middle - inner_px : middle + inner_px + 1] = False
    out = np.full((len(image), bands), np.nan)
    for i in range(len(image)):
        for b in range(bands):
            weight = invvar[i, ..., b][away]
            good = np.isfinite(weight) & (weight > 0)
            noise = image[i, ..., b][away][good] * np.sqrt(weight[good])
            noise = noise[np.isfinite(noise)]
            noise = noise[abs(noise - np.median(noise)) < BLANK_SIGMA] if len(noise) else noise
            if len(noise) >= NEIGHBOURS:
                out[i, b] = (_MAD * np.median(abs(noise - np.median(noise)))) ** 2
    return out


def kernel_of_share(share: float) -> tuple[float, float, float]:
    """Kernel along each axis that spreads white noise so that a pixel keeps a share of its variance.

    (s, 1 - 2s, s) with a unit sum, so that sums over many pixels keep theirs: ((1 - 2s)^2 + 2 s^2)^2 = share.
    """
    side = np.sqrt(np.clip(share, 1 / 9, 1.0))
    s = float((2 - np.sqrt(max(4 - 6 * (1 - side), 0.0))) / 6)
    return s, 1 - 2 * s, s


def noise_of(
    light: NDArray[np.float64], gain: float, rng: np.random.Generator, kernel: tuple[float, float, float] | None
) -> NDArray[np.float64]:
    """Photon noise of added light alone: (S, S) nanomaggies.

    Gaussian, of variance light/gain, and spread over neighbours by the kernel along each axis; the sky's noise is in
    the pixels already.
    """
    from scipy.ndimage import convolve1d

    noise = rng.standard_normal(light.shape, np.float32) * np.sqrt(np.maximum(light, 0) / gain)
    if kernel is None:
        return np.asarray(noise, np.float64)
    spread = convolve1d(convolve1d(noise, kernel, 0, mode="constant"), kernel, 1, mode="constant")
    return np.asarray(spread, np.float64)
