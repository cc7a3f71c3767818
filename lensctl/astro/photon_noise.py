"""Photon noise of coadds: the gain that invvar tells of, and the noise of light that is added.

For exposures of one sky the variance of a pixel is v = v0 (1 + I/S), with I its brightness, S the sky's and v0 the
variance of blank sky; the gain of the coadd is S/v0 electrons per nanomaggy. The weights of a coadd are made from the
same counts as its pixels, so that this holds pixel by pixel, noise included.
"""

from __future__ import annotations

import functools
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
_FIRST_RADIUS_PX = 16
_INTERVAL = 0.68
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
    good = np.isfinite(image) & np.isfinite(invvar) & (invvar > 0)
    if maskbits is not None:
        good &= maskbits == 0
    signal = np.zeros(image.shape)
    signal[good] = image[good] * np.sqrt(invvar[good])
    blank = good & (abs(signal) < BLANK_SIGMA)
    bright = np.argwhere(good & (signal > BRIGHT_SIGMA) & (image < BRIGHTEST_NANOMAGGY))
    if np.count_nonzero(blank) < NEIGHBOURS or not len(bright):
        return Sample(*(np.empty(shape) for shape in ((0,), (0,), (0, NEIGHBOURS), (0, NEIGHBOURS))))
    bright = bright[np.linspace(0, len(bright) - 1, min(most, len(bright))).astype(int)]
    flux, variance = image.astype(np.float64), 1 / np.where(good, invvar, 1).astype(np.float64)
    at, around = tuple(bright.T), _nearest(blank, bright)
    return Sample(flux[at], variance[at], flux.ravel()[around], variance.ravel()[around])


def _nearest(chosen: NDArray[np.bool_], places: NDArray[np.intp]) -> NDArray[np.intp]:
    """The NEIGHBOURS chosen pixels nearest to each place (row, column): (N, NEIGHBOURS) numbers of pixels.

    The pixels of a disc are asked in the order of their distance, and those of a larger one where they are too few: on
    a grid a tenth of the time of a tree. There must be as many.
    """
    found = np.empty((len(places), NEIGHBOURS), np.intp)
    rest, radius = np.arange(len(places)), _FIRST_RADIUS_PX
    while len(rest):
        padded = np.pad(chosen, radius)
        down, right = _disc(radius)
        first = (places[rest] + radius) @ (padded.shape[1], 1)
        near = padded.ravel()[first[:, None] + (down * padded.shape[1] + right)]
        count = np.cumsum(near, axis=1, dtype=np.int32)
        enough = count[:, -1] >= NEIGHBOURS
        at = np.nonzero(near[enough] & (count[enough] <= NEIGHBOURS))[1].reshape(-1, NEIGHBOURS)
        middle = places[rest[enough]] @ (chosen.shape[1], 1)
        found[rest[enough]] = middle[:, None] + down[at] * chosen.shape[1] + right[at]
        rest, radius = rest[~enough], radius * 3 // 2
    return found


@functools.lru_cache(maxsize=16)
def _disc(radius: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Offsets (rows, columns) of the pixels within a radius, nearest first."""
    axis = np.arange(-radius, radius + 1)
    down, right = (each.ravel() for each in np.meshgrid(axis, axis, indexing="ij"))
    away = down * down + right * right
    order = np.argsort(away, kind="stable")[: np.count_nonzero(away <= radius**2)]
    return down[order], right[order]


def joined(samples: list[Sample]) -> Sample:
    """Several images' pixels as one sample."""
    return Sample(*(np.concatenate([getattr(s, name) for s in samples]) for name in Sample.__dataclass_fields__))


def sky_of(sample: Sample) -> Sky | None:
    """Brightness of the sky from the slope of variance with brightness; None where there are too few pixels for it.

    Notes
    -----
    v0 of a bright pixel is the median of v/(1 + I/S) of the blank ones around it; the pixel is left out where these
    spread by more than MOST_SPREAD, as v0 steps from exposure to exposure. 1/S is the Theil-Sen slope of v/v0 on I.
    S and v0 are found in turn, beginning without the correction of the blanks.
    """
    found: Sky | None = None
    some = np.linspace(0, len(sample.flux) - 1, min(_MOST_PIXELS, len(sample.flux))).astype(int)
    sample = Sample(*(getattr(sample, name)[some] for name in Sample.__dataclass_fields__))
    for _ in range(_ROUNDS):
        tilt = 0.0 if found is None else 1 / found.nanomaggy
        blank = np.sort(sample.blank_variance / (1 + tilt * sample.blank_flux), axis=1)
        low, v0, high = (_at_share(blank, share) for share in (0.1, 0.5, 0.9))
        use = v0 > 0
        if found is not None:
            use &= high - low <= MOST_SPREAD * v0
        rows = np.flatnonzero(use)
        if len(rows) < _LEAST_PIXELS:
            return None
        slope, error = theil_sen(sample.flux[rows], sample.variance[rows] / v0[rows])
        if not slope > 0:
            return None
        found = Sky(1 / slope, error / slope**2, len(rows))
    return found


def _at_share(ordered: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Percentile of the last axis of ascending values, linearly interpolated: (N, P) to (N,)."""
    position = share * (ordered.shape[1] - 1)
    below = int(position)
    above = min(below + 1, ordered.shape[1] - 1)
    return np.asarray(ordered[:, below] + (ordered[:, above] - ordered[:, below]) * (position - below))


def theil_sen(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """The median slope of all pairs of points, and half its interval of 68 %: Sen 1968 (JASA 63, 1379, eq. 2.6).

    That of `scipy.stats.theilslopes`, whose checks of its arguments take longer than the slopes. NaN where all x are
    equal.
    """
    from scipy.special import ndtri

    run, rise = x[:, None] - x, y[:, None] - y
    ahead = run > 0
    slopes = np.sort(rise[ahead] / run[ahead])
    if not len(slopes):
        return np.nan, np.nan
    groups = [len(x), *(-k for values in (x, y) for k in _repeats(values))]
    variance = sum(k * (abs(k) - 1) * (2 * abs(k) + 5) for k in groups) / 18
    reach = float(-ndtri((1 - _INTERVAL) / 2) * np.sqrt(variance))
    low = max(round((len(slopes) - reach) / 2) - 1, 0)
    high = min(round((len(slopes) + reach) / 2), len(slopes) - 1)
    middle = (slopes[(len(slopes) - 1) // 2] + slopes[len(slopes) // 2]) / 2
    return float(middle), float(slopes[high] - slopes[low]) / 2


def _repeats(values: NDArray[np.float64]) -> list[int]:
    """How often each value occurs that does so more than once."""
    ordered = np.sort(values)
    if (ordered[1:] != ordered[:-1]).all():
        return []
    counts = np.unique(ordered, return_counts=True)[1]
    return [int(count) for count in counts if count > 1]


def blank_variance(image: NDArray[np.float32], invvar: NDArray[np.float32]) -> NDArray[np.float64]:
    """v0 of each image and band, the median of 1/invvar over blank pixels: (N, S, S, B) in, (N, B) float64; or NaN."""
    out = np.full((len(image), image.shape[-1]), np.nan)
    for i in range(len(image)):
        flux, weight = (np.moveaxis(each[i], -1, 0).reshape(out.shape[1], -1).copy() for each in (image, invvar))
        with np.errstate(invalid="ignore"):
            blank = (weight > 0) & (abs(flux) * np.sqrt(weight) < BLANK_SIGMA)
        for b in range(len(weight)):
            values = weight[b][blank[b]]
            if len(values) >= NEIGHBOURS:
                out[i, b] = np.median(1 / values.astype(np.float64))
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
    light: NDArray[np.floating], gain: float, rng: np.random.Generator, kernel: tuple[float, float, float] | None
) -> NDArray[np.float32]:
    """Photon noise of added light alone: (S, S) nanomaggies.

    Gaussian, of variance light/gain, and spread over neighbours by the kernel along each axis; the sky's noise is in
    the pixels already.
    """
    noise = rng.standard_normal(light.shape, np.float32)
    noise *= np.sqrt(np.maximum(light, 0) / light.dtype.type(gain))
    if kernel is None:
        return noise
    side, middle, _ = map(np.float32, kernel)
    spread = middle * noise
    spread[1:] += side * noise[:-1]
    spread[:-1] += side * noise[1:]
    whole = middle * spread
    whole[:, 1:] += side * spread[:, :-1]
    whole[:, :-1] += side * spread[:, 1:]
    return np.asarray(whole, np.float32)
