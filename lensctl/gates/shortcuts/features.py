"""Features of a cutout that the shortcut gate compares between the classes.

Radii from the central pixel are given in pixels of ls-dr10. In pixels of another scale they cover the same angle, but
stay inside the annulus and are at least half as many; those of rings are rounded to whole pixels, and features are
named after them. The annulus and the distances at which noise is compared are in the cutout's own pixels.

Every row depends on its own pixels alone.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.gates.shortcuts.background import NAMES, Background
from lensctl.gates.shortcuts.robust import MAD_TO_SIGMA, median, neighbours, noise_of, ratio
from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Images = NDArray[np.float32]

CENTRE, CENTRE_SIGMA = 7.5, 2.5
ASYMMETRY = 16.0
CORE_EDGES = (0, 2, 4, 6, 8, 10)
PROFILE_EDGES = (0, 3, 6, 10, 16, 24)
ANNULUS = {101: (32.5, 45.0), 64: (20.0, 32.0)}
ANNULUS_SHARES = (0.64, 0.89)
"""Radii of the annulus of other cutouts, in units of half a side."""
LEAST_SCALE = 0.5
"""At this scale the narrowest ring is one pixel wide."""
LEAST_SIZE = 51

SHARP_EDGES = (1.5, 3.0)
"""Sharpness is the brightness within the first radius over that within the second, pixels of ls-dr10."""

CENTROID = ("centroid_x", "centroid_y", "centroid_r")
CORE_BRIGHTNESS = "core_brightness"


def annulus_of(size: int) -> tuple[float, float]:
    """Inner and outer radius of the annulus of a cutout, pixels."""
    low, high = ANNULUS_SHARES
    return ANNULUS.get(size, (low * size / 2, high * size / 2))


@functools.lru_cache(maxsize=4)
def features_of(survey: Survey, size: int) -> Features:
    """The features of cutouts of a survey, `size` pixels along a side."""
    scale = LS_DR10.pixel_scale_arcsec / survey.pixel_scale_arcsec
    if scale != 1:
        scale = max(min(scale, math.floor(annulus_of(size)[0]) / PROFILE_EDGES[-1]), LEAST_SCALE)
    return Features(survey.bands, survey.depth_band, scale)


@dataclass(frozen=True)
class Features:
    """Which features there are, and how to measure them.

    Parameters
    ----------
    bands : tuple of str
        In the order of the last axis of a cutout.
    depth_band : str
        In which the centroid is measured.
    scale : float
        Pixels for each pixel of ls-dr10.
    """

    bands: tuple[str, ...]
    depth_band: str
    scale: float = 1.0

    @property
    def least_size(self) -> int:
        """Least side of a cutout whose rings stay inside the annulus; 51 px for ls-dr10, whose rings may reach in."""
        if self.scale == 1:
            return LEAST_SIZE
        return math.ceil(2 * LEAST_SCALE * PROFILE_EDGES[-1] / ANNULUS_SHARES[0])

    @functools.cached_property
    def core_edges(self) -> tuple[int, ...]:
        """Edges of the rings of the core, pixels."""
        return tuple(round(edge * self.scale) for edge in CORE_EDGES)

    @functools.cached_property
    def profile_edges(self) -> tuple[int, ...]:
        """Edges of the rings of the profile, pixels."""
        return tuple(round(edge * self.scale) for edge in PROFILE_EDGES)

    @functools.cached_property
    def noise(self) -> tuple[str, ...]:
        """Noise and its correlation."""
        return self._in_bands("noise", "texture")

    @functools.cached_property
    def background(self) -> tuple[str, ...]:
        """Level, gradient and stripes of the background, and what lies beyond the annulus, in units of the noise."""
        return self._in_bands(*NAMES)

    @property
    def sharpness(self) -> str:
        """How fast the brightness falls in the innermost pixels of the depth band, which the PSF decides."""
        return f"sharpness_{self.depth_band}"

    @functools.cached_property
    def patterns(self) -> tuple[str, ...]:
        """Exact zeros and NaN."""
        return self._in_bands("zeros", "nan")

    @functools.cached_property
    def physics(self) -> tuple[str, ...]:
        """What arcs and their galaxies change."""
        rings = (f"profile_{a}_{b}px" for a, b in itertools.pairwise(self.profile_edges))
        return self._in_bands("annulus_brightness", "annulus_mad", "asymmetry", *rings)

    @property
    def inner(self) -> str:
        """Brightness of the innermost pixels in the depth band."""
        return f"profile_0_{self.profile_edges[1]}px_{self.depth_band}"

    @functools.cached_property
    def core_rings(self) -> tuple[str, ...]:
        """Mean and deviation in the rings of the core."""
        rings = itertools.product(("mean", "std"), itertools.pairwise(self.core_edges))
        return self._in_bands(*(f"core_{statistic}_{a}_{b}px" for statistic, (a, b) in rings))

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """All features, in the order of the columns of `measure`."""
        judged = (*self.noise, *self.background, self.sharpness, *self.patterns, *CENTROID)
        return (*judged, *self.physics, *self.core_rings, CORE_BRIGHTNESS)

    def _in_bands(self, *names: str) -> tuple[str, ...]:
        return tuple(f"{name}_{band}" for name in names for band in self.bands)

    def measure(self, images: Images, centroid_floor_px: float) -> Floats:
        """All features of each cutout.

        Parameters
        ----------
        images : (n, S, S, B) float32
            Cutouts in nanomaggies.
        centroid_floor_px : float
            Centroid offsets up to this count as centred: cutouts are centred to the nearest pixel at best.

        Returns
        -------
        (n, len(names)) float64
            NaN where a cutout has no good pixels for a feature. Brightness is in nanomaggies per pixel above the
            median of the outer annulus; `noise` is the per-pixel sigma from differences of neighbouring pixels, and
            `texture` its ratio to the same from pixels 3 apart: 1 for raw pixels, less for resampled ones.
        """
        n, size = len(images), images.shape[1]
        if not n:
            return np.zeros((0, len(self.names)))
        at = _regions(size, self)
        columns: dict[str, Floats] = {}
        for b, band in enumerate(self.bands):
            plane = np.ascontiguousarray(images[..., b]).reshape(n, -1)  # (n, S*S)
            good = np.isfinite(plane)
            columns[f"zeros_{band}"] = (plane == 0).mean(axis=1)
            columns[f"nan_{band}"] = 1.0 - good.mean(axis=1)
            if not good.all():
                plane[~good] = np.nan
            outer = plane.take(at.annulus, axis=1)
            sky = median(outer)
            columns[f"annulus_brightness_{band}"] = sky
            columns[f"annulus_mad_{band}"] = MAD_TO_SIGMA * median(np.abs(outer - sky[:, None].astype(np.float32)))
            near, far = noise_of(plane, at.near), noise_of(plane, at.far)
            columns[f"noise_{band}"] = near
            columns[f"texture_{band}"] = ratio(near, far)
            for name, values in at.background.measure(plane, near).items():
                columns[f"{name}_{band}"] = values

            level = np.where(np.isfinite(sky), sky, 0.0)[:, None, None]
            window = plane.reshape(n, size, size)[:, at.window, at.window].astype(np.float64)
            above = (window - level).reshape(n, -1)  # (n, W*W)
            known = np.isfinite(above)
            above[~known] = 0.0
            for name, edges, ring in (("profile", self.profile_edges, at.profile), ("core", self.core_edges, at.core)):
                total, square, count = _rings(above, known, ring)
                mean = ratio(total, count)
                deviation = np.sqrt(np.maximum(ratio(square, count) - mean**2, 0.0))
                for k, (low, high) in enumerate(itertools.pairwise(edges)):
                    suffix = f"{low}_{high}px_{band}"
                    if name == "profile":
                        columns[f"profile_{suffix}"] = mean[:, k]
                    else:
                        columns[f"core_mean_{suffix}"] = mean[:, k]
                        columns[f"core_std_{suffix}"] = deviation[:, k]
                        columns[f"whole_core_{band}"] = ratio(total.sum(axis=1), count.sum(axis=1))
            columns[f"asymmetry_{band}"] = _asymmetry(above, at.symmetric)
            if band == self.depth_band:
                inner, whole = (above.take(pixels, axis=1).mean(axis=1) for pixels in at.sharp)
                columns[self.sharpness] = ratio(inner, np.where(whole > near, whole, 0.0))
                columns.update(_centroid(above, at, near, centroid_floor_px))
        columns[CORE_BRIGHTNESS] = np.mean([columns[f"whole_core_{band}"] for band in self.bands], axis=0)
        return np.stack([columns[name] for name in self.names], axis=1)


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
    sharp: tuple[Ints, Ints]
    background: Background
    centre: Ints
    weight: Floats
    x: Floats
    y: Floats


@functools.lru_cache(maxsize=4)
def _regions(size: int, features: Features) -> _Regions:
    middle = (size - 1) // 2
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    r = np.hypot(x, y)
    low, high = annulus_of(size)
    annulus = (r >= low) & (r < high)

    half = min(features.profile_edges[-1], middle)
    window = slice(middle - half, size - middle + half)
    near = r[window, window].ravel()

    def rings(edges: tuple[int, ...]) -> tuple[Ints, Ints]:
        ring = np.searchsorted(edges, near, side="right") - 1
        order = np.argsort(ring, kind="stable")
        order = order[ring[order] < len(edges) - 1]
        return order, np.searchsorted(ring[order], np.arange(len(edges) - 1))

    centre = np.flatnonzero(near < CENTRE * features.scale)
    place = [axis[window, window].ravel()[centre] for axis in (x, y)]
    weight = np.exp(-0.5 * (near[centre] / (CENTRE_SIGMA * features.scale)) ** 2)
    symmetric = np.flatnonzero(near < ASYMMETRY * features.scale)
    core, profile = rings(features.core_edges), rings(features.profile_edges)
    inner, whole = (np.flatnonzero(near < edge * max(features.scale, 2 / 3)) for edge in SHARP_EDGES)
    return _Regions(
        annulus=np.flatnonzero(annulus),
        near=neighbours(annulus, 1),
        far=neighbours(annulus, 3),
        window=window,
        profile=profile,
        core=core,
        symmetric=symmetric,
        sharp=(inner, whole),
        background=Background.of(size, low, high),
        centre=centre,
        weight=weight,
        x=place[0],
        y=place[1],
    )


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
    return ratio(np.abs(values - turned).sum(axis=1), 2 * np.abs(values).sum(axis=1))


def _centroid(above: Floats, at: _Regions, noise: Floats, floor_px: float) -> dict[str, Floats]:
    """Centroid weighted by a Gaussian of CENTRE_SIGMA, relative to the central pixel: x, y and distance, pixels."""
    weighted = above.take(at.centre, axis=1) * at.weight
    total = weighted.sum(axis=1)
    bright = total > 5 * np.nan_to_num(noise) * np.sqrt((at.weight**2).sum())
    # the weighting shrinks the offset by half if the source is as wide as the weight
    x, y = (2 * ratio((weighted * axis).sum(axis=1), np.where(bright, total, -1.0)) for axis in (at.x, at.y))
    distance = np.hypot(x, y)
    centred = distance <= floor_px
    return {
        "centroid_x": np.where(centred, 0.0, x),
        "centroid_y": np.where(centred, 0.0, y),
        "centroid_r": np.where(centred, 0.0, distance),
    }
