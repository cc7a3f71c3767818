"""Features of a cutout that the shortcut gate compares between the classes.

All radii are pixels from the central pixel (the survey's). Every row depends on its own pixels alone.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Images = NDArray[np.float32]

BANDS = LS_DR10.bands
CENTRE, CENTRE_SIGMA = 7.5, 2.5
ASYMMETRY = 16.0
CORE_EDGES = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
PROFILE_EDGES = (0.0, 3.0, 6.0, 10.0, 16.0, 24.0)
ANNULUS = {101: (32.5, 45.0), 64: (20.0, 32.0)}
MAD_TO_SIGMA = 1.4826

NOISE = tuple(f"{name}_{band}" for name in ("noise", "texture") for band in BANDS)
PATTERNS = tuple(f"{name}_{band}" for name in ("zeros", "nan") for band in BANDS)
CENTROID = ("centroid_x", "centroid_y", "centroid_r")
PHYSICS = tuple(
    f"{name}_{band}"
    for name in (
        "annulus_brightness",
        "annulus_mad",
        "asymmetry",
        *(f"profile_{a:g}_{b:g}px" for a, b in itertools.pairwise(PROFILE_EDGES)),
    )
    for band in BANDS
)
INNER = f"profile_0_3px_{LS_DR10.depth_band}"
CORE_RINGS = tuple(
    f"core_{statistic}_{a:g}_{b:g}px_{band}"
    for statistic in ("mean", "std")
    for a, b in itertools.pairwise(CORE_EDGES)
    for band in BANDS
)
CORE_BRIGHTNESS = "core_brightness"
NAMES = (*NOISE, *PATTERNS, *CENTROID, *PHYSICS, *CORE_RINGS, CORE_BRIGHTNESS)


@dataclass(frozen=True)
class _Regions:
    """Pixels of each region, as flat indices into a cutout or its central window."""

    annulus: Ints
    near: tuple[Ints, Ints]
    far: tuple[Ints, Ints]
    window: slice
    profile: tuple[Ints, Ints]
    core: tuple[Ints, Ints]
    symmetric: Ints
    centre: Ints
    weight: Floats
    x: Floats
    y: Floats


@functools.lru_cache(maxsize=4)
def _regions(size: int) -> _Regions:
    middle = (size - 1) // 2
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    r = np.hypot(x, y)
    low, high = ANNULUS.get(size, (0.64 * size / 2, 0.89 * size / 2))
    annulus = (r >= low) & (r < high)

    def along_x(lag: int) -> tuple[Ints, Ints]:
        row, column = np.nonzero(annulus[:, lag:] & annulus[:, :-lag])
        return row * size + column, row * size + column + lag

    half = min(int(max(PROFILE_EDGES)), middle)
    window = slice(middle - half, size - middle + half)
    near = r[window, window].ravel()

    def rings(edges: tuple[float, ...]) -> tuple[Ints, Ints]:
        ring = np.searchsorted(edges, near, side="right") - 1
        order = np.argsort(ring, kind="stable")
        order = order[ring[order] < len(edges) - 1]
        return order, np.searchsorted(ring[order], np.arange(len(edges) - 1))

    centre = np.flatnonzero(near < CENTRE)
    place = [axis[window, window].ravel()[centre] for axis in (x, y)]
    weight = np.exp(-0.5 * (near[centre] / CENTRE_SIGMA) ** 2)
    symmetric = np.flatnonzero(near < ASYMMETRY)
    core, profile = rings(CORE_EDGES), rings(PROFILE_EDGES)
    return _Regions(
        np.flatnonzero(annulus), along_x(1), along_x(3), window, profile, core, symmetric, centre, weight, *place
    )


def measure(images: Images, centroid_floor_px: float) -> Floats:
    """All features in NAMES for each cutout.

    Parameters
    ----------
    images : (n, S, S, 3) float32
        Cutouts in nanomaggies, bands g, r, z.
    centroid_floor_px : float
        Centroid offsets up to this count as centred: cutouts are centred to the nearest pixel at best.

    Returns
    -------
    (n, len(NAMES)) float64
        NaN where a cutout has no good pixels for a feature. Brightness is in nanomaggies per pixel above the median of
        the outer annulus; `noise` is the per-pixel sigma from differences of neighbouring pixels, and `texture` its
        ratio to the same from pixels 3 apart: 1 for raw pixels, less for resampled ones.
    """
    n, size = len(images), images.shape[1]
    if not n:
        return np.zeros((0, len(NAMES)))
    at = _regions(size)
    columns: dict[str, Floats] = {}
    for b, band in enumerate(BANDS):
        plane = np.ascontiguousarray(images[..., b]).reshape(n, -1)  # (n, S*S)
        good = np.isfinite(plane)
        columns[f"zeros_{band}"] = (plane == 0).mean(axis=1)
        columns[f"nan_{band}"] = 1.0 - good.mean(axis=1)
        if not good.all():
            plane[~good] = np.nan
        outer = plane.take(at.annulus, axis=1)
        sky = _median(outer)
        columns[f"annulus_brightness_{band}"] = sky
        columns[f"annulus_mad_{band}"] = MAD_TO_SIGMA * _median(np.abs(outer - sky[:, None].astype(np.float32)))
        near, far = _noise(plane, at.near), _noise(plane, at.far)
        columns[f"noise_{band}"] = near
        columns[f"texture_{band}"] = _ratio(near, far)

        level = np.where(np.isfinite(sky), sky, 0.0)[:, None, None]
        window = plane.reshape(n, size, size)[:, at.window, at.window].astype(np.float64)
        above = (window - level).reshape(n, -1)  # (n, W*W)
        known = np.isfinite(above)
        above[~known] = 0.0
        for name, edges, ring in (("profile", PROFILE_EDGES, at.profile), ("core", CORE_EDGES, at.core)):
            total, square, count = _rings(above, known, ring)
            mean = _ratio(total, count)
            deviation = np.sqrt(np.maximum(_ratio(square, count) - mean**2, 0.0))
            for k, (low, high) in enumerate(itertools.pairwise(edges)):
                suffix = f"{low:g}_{high:g}px_{band}"
                if name == "profile":
                    columns[f"profile_{suffix}"] = mean[:, k]
                else:
                    columns[f"core_mean_{suffix}"] = mean[:, k]
                    columns[f"core_std_{suffix}"] = deviation[:, k]
                    columns[f"whole_core_{band}"] = _ratio(total.sum(axis=1), count.sum(axis=1))
        columns[f"asymmetry_{band}"] = _asymmetry(above, at.symmetric)
        if band == BANDS[-1]:
            columns.update(_centroid(above, at, near, centroid_floor_px))
    columns[CORE_BRIGHTNESS] = np.mean([columns[f"whole_core_{band}"] for band in BANDS], axis=0)
    return np.stack([columns[name] for name in NAMES], axis=1)


def _median(values: Floats | Images) -> Floats:
    """Median over the last axis ignoring NaN; NaN if there are no values."""
    clean = not np.isnan(values).any()
    if clean:
        return np.asarray(np.median(values, axis=-1), float)
    some = ~np.isnan(values).all(axis=-1)
    middle = np.full(values.shape[:-1], np.nan)
    middle[some] = np.nanmedian(values[some], axis=-1)
    return middle


def _noise(plane: Images, pairs: tuple[Ints, Ints]) -> Floats:
    """Sigma of one pixel from the differences of pairs of pixels: (n, S*S) to (n,)."""
    first, second = (plane.take(pixels, axis=1) for pixels in pairs)
    return MAD_TO_SIGMA / math.sqrt(2.0) * _median(np.abs(second - first))


def _ratio(above: Floats, below: Floats) -> Floats:
    ratio: Floats = np.full(np.shape(above), np.nan)
    return np.divide(above, below, out=ratio, where=below > 0)


def _rings(above: Floats, known: NDArray[np.bool_], ring: tuple[Ints, Ints]) -> tuple[Floats, Floats, Floats]:
    """Sum, sum of squares and number of good pixels in each ring: (n, W*W) to (n, R) each."""
    pixels, starts = ring
    values, good = above.take(pixels, axis=1), known.take(pixels, axis=1)
    return (
        np.add.reduceat(values, starts, axis=1),
        np.add.reduceat(values**2, starts, axis=1),
        np.add.reduceat(good.astype(np.float64), starts, axis=1),
    )


def _asymmetry(above: Floats, pixels: Ints) -> Floats:
    """Rotational asymmetry, |I - I_180| / (2 |I|): (n,)."""
    values, turned = above.take(pixels, axis=1), above.take(above.shape[1] - 1 - pixels, axis=1)
    return _ratio(np.abs(values - turned).sum(axis=1), 2 * np.abs(values).sum(axis=1))


def _centroid(above: Floats, at: _Regions, noise: Floats, floor_px: float) -> dict[str, Floats]:
    """Centroid weighted by a Gaussian of sigma 2.5 px, relative to the central pixel: x, y and distance, pixels."""
    weighted = above.take(at.centre, axis=1) * at.weight
    total = weighted.sum(axis=1)
    bright = total > 5 * np.nan_to_num(noise) * np.sqrt((at.weight**2).sum())
    # the weighting shrinks the offset by half if the source is as wide as the weight
    x, y = (2 * _ratio((weighted * axis).sum(axis=1), np.where(bright, total, -1.0)) for axis in (at.x, at.y))
    distance = np.hypot(x, y)
    centred = distance <= floor_px
    return {
        "centroid_x": np.where(centred, 0.0, x),
        "centroid_y": np.where(centred, 0.0, y),
        "centroid_r": np.where(centred, 0.0, distance),
    }
