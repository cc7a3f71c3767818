"""Observational effects: exposures, noise, saturated and masked stars, holes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey
    from lensctl.sky.pointings import Pointing

FEWEST_IN_POOL = 3
"""Minimum exposures of the pool; a chip edge never reduces a pointing from this number to fewer."""

BRIGHT_MAG, MEDIUM_MAG = 13.0, 16.0

DARKEST = 0.2
"""Least brightness of a pixel, relative to the sky, for which invvar allows: noise never makes it endless."""

HOLE_RANGE = (0.72, 0.96)
"""Distance of some holes from an object, in half cutouts: inside the cutout, away from its centre."""


@dataclass
class Planes:
    """Data planes of one window: (B, S, S) image, invvar and nexp, and (S, S) maskbits."""

    image: NDArray[np.float32]
    invvar: NDArray[np.float32]
    nexp: NDArray[np.int16]
    maskbits: NDArray[np.int32]


def exposures(rng: np.random.Generator, pointing: Pointing) -> NDArray[np.int16]:
    """Number of exposures of each pixel: (B, S, S) int16.

    Up to one more or fewer beyond a straight chip edge; zero in a missing band, and on a strip along one edge of the
    window in the band without exposures there.
    """
    side = pointing.size
    nexp = np.empty((len(pointing.nobs), side, side), np.int16)
    nexp[:] = np.array(pointing.nobs)[:, None, None]
    for band, name in enumerate(pointing.survey.bands):
        view = nexp[band].T if rng.random() < 0.5 else nexp[band]
        edge = int(rng.integers(side // 5, side - side // 5))
        fewer = 0 if pointing.nobs[band] == FEWEST_IN_POOL else -1
        view[edge:] = max(1, pointing.nobs[band] + int(rng.integers(fewer, 2)))
        width = int(rng.uniform(0.14, 0.26) * side)
        if name == pointing.dirt.unexposed_band:
            view[side - width :] = 0
        if name == pointing.dirt.missing_band:
            view[:] = 0
    return nexp


def star_mask(
    x: NDArray[np.float64], y: NDArray[np.float64], magnitude: NDArray[np.float64], side: int, survey: Survey
) -> NDArray[np.int32]:
    """maskbits around stars at window pixels (x, y): (S, S) int32.

    As in DR10, radius = 1630 arcsec x 1.396^-G for G < 16 (MEDIUM), and half of that for G < 13 (BRIGHT).
    """
    bright, medium = _flag(survey, "BRIGHT"), _flag(survey, "MEDIUM")
    bits = np.zeros((side, side), np.int32)
    rows, columns = np.mgrid[:side, :side]
    for i in np.flatnonzero(magnitude < MEDIUM_MAG):
        radius = 1630 * 1.396 ** -magnitude[i] / survey.pixel_scale_arcsec
        squared = (columns - x[i]) ** 2 + (rows - y[i]) ** 2
        bits[squared < radius**2] |= medium
        if magnitude[i] < BRIGHT_MAG:
            bits[squared < (radius / 2) ** 2] |= bright
    return bits


def _flag(survey: Survey, name: str) -> int:
    """The value of a named mask bit; 0 if the survey has none of that name."""
    return 1 << survey.mask_bits[name] if name in survey.mask_bits else 0


def expose(
    rng: np.random.Generator, light: NDArray[np.float32], nexp: NDArray[np.int16], bits: NDArray[np.int32], p: Pointing
) -> Planes:
    """Add noise and saturation, and zero unexposed pixels.

    Noise is Gaussian: that of the electrons of sky and sources, variance (sky + light) / (gain nexp). The survey knows
    the light by the image alone, so invvar = gain nexp / (sky + image), noise and all. In a style with correlated noise
    each pixel shares its noise with its neighbours, and invvar, which knows nothing of it, is that of before. Without
    exposures, image and invvar are exactly 0.
    """
    image = np.empty_like(light)
    invvar = np.empty_like(light)
    for band, name in enumerate(p.survey.bands):
        imaging = p.survey.imaging[name]
        light[band], saturated = _saturate(light[band], imaging.saturation_nanomaggy)
        bits[saturated] |= _flag(p.survey, f"SATUR_{name.upper()}")
        exposed = nexp[band] > 0
        sky, gain = np.float32(p.sky[band]), np.float32(p.gain[band]) * np.maximum(nexp[band], 1).astype(np.float32)
        noise = rng.standard_normal(light[band].shape, dtype=np.float32)
        noise *= np.sqrt((sky + np.maximum(light[band], 0)) / gain)
        offset = np.float32(rng.normal(0, 0.03) * p.noise[band] / np.sqrt(p.nobs[band]))
        seen = light[band] + _spread(noise, p.style.noise_spread) + offset
        image[band] = np.where(exposed, seen, 0)
        invvar[band] = np.where(exposed & ~saturated, gain / np.maximum(sky + seen, DARKEST * sky), 0)
    return Planes(image, invvar, nexp, bits)


def _spread(noise: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Noise of which each neighbour along an axis gets a share, and its neighbours a share of that."""
    from scipy.ndimage import convolve1d

    if share == 0:
        return noise
    kernel = (share, 1 - 2 * share, share)
    return np.asarray(convolve1d(convolve1d(noise, kernel, 0, mode="wrap"), kernel, 1, mode="wrap"), np.float32)


def _saturate(light: NDArray[np.float32], level: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Clip cores at the saturation level and let them bleed along their row, further for brighter stars."""
    over = light > level
    if not over.any():
        return light, over
    bleeding = over.copy()
    for row in np.flatnonzero(over.any(axis=1)):
        columns = np.flatnonzero(over[row])
        excess = float(np.minimum(light[row, columns] / level, 40).sum())
        if len(columns) >= 5 and excess > 60:
            reach = int(min(excess / 3, 80))
            bleeding[row, max(columns[0] - reach, 0) : columns[-1] + reach + 1] = True
    return np.where(bleeding, np.float32(level), light), bleeding


def punch_holes(
    rng: np.random.Generator, planes: Planes, x: NDArray[np.float64], y: NDArray[np.float64], pointing: Pointing
) -> None:
    """Put patches of NaN on random objects, and where their cutouts end (HOLE_RANGE), in one band or all.

    x, y : (N,) window pixels of the catalogued objects, lenses and others alike.
    """
    bands, side = planes.image.shape[:2]
    half = pointing.survey.cutout_size_px // 2
    near, far = (limit * half for limit in HOLE_RANGE)
    centres = pointing.dirt.nan_centres
    for which in range(centres + pointing.dirt.nan_edges):
        target = int(rng.integers(len(x)))
        away = (rng.uniform(near, far) if which >= centres else 0.0) * rng.choice([-1, 1])
        across = rng.uniform(-4, 4)
        at_x, at_y = (away, across) if rng.random() < 0.5 else (across, away)
        width, height = rng.integers(2, 7, 2)
        left, top = (int(np.clip(round(v), 0, side - 8)) for v in (x[target] + at_x, y[target] + at_y))
        spoiled = slice(None) if rng.random() < 0.5 else slice(int(rng.integers(bands)), None, bands)
        hole = planes.image[spoiled, top : top + height, left : left + width]
        hole[planes.nexp[spoiled, top : top + height, left : left + width] > 0] = np.nan
        planes.invvar[spoiled, top : top + height, left : left + width] = 0
