"""Background of cutouts: level, gradient and stripes of the outer annulus, and what lies beyond it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.gates.shortcuts.robust import CLIP_SIGMA, clipped_median, neighbours, noise_of, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Images = NDArray[np.float32]

NAMES = ("level", "gradient", "stripe", "rim_level", "rim_noise", "corner")


@dataclass(frozen=True)
class Background:
    """Pixels of the annulus and of the rim beyond it, as flat indices into a cutout.

    `outside` are the first and last rows (and columns) that lie outside the annulus's inner radius; `annulus_x`,
    `annulus_y` the offsets of the annulus's pixels from the centre, and `radius` its outer radius, pixels.
    """

    annulus: Ints
    annulus_x: Floats
    annulus_y: Floats
    radius: float
    rim: Ints
    rim_near: tuple[Ints, Ints]
    outside: tuple[slice, slice]

    @classmethod
    def of(cls, size: int, low: float, high: float) -> Background:
        """For cutouts of `size` pixels and an annulus between two radii."""
        y, x = np.mgrid[:size, :size] - (size - 1) / 2
        r = np.hypot(x, y)
        annulus, rim = (r >= low) & (r < high), r >= high
        beyond = math.ceil((size - 1) / 2 - low)
        return cls(
            annulus=np.flatnonzero(annulus),
            annulus_x=x[annulus],
            annulus_y=y[annulus],
            radius=high,
            rim=np.flatnonzero(rim),
            rim_near=neighbours(rim, 1),
            outside=(slice(0, beyond), slice(size - beyond, size)),
        )

    def measure(self, plane: Images, noise: Floats) -> dict[str, Floats]:
        """Background of cutouts, (n, S*S) with NaN for bad pixels, in units of their noise, (n,): (n,) each.

        `level` is the median of the annulus and `rim_level` that of what lies beyond, each of pixels below 3 sigma;
        `gradient` the amplitude of the plane through the annulus at its outer radius; `stripe` the mean of that row or
        column outside the annulus's inner radius which is farthest from the level, in units of its own error;
        `rim_noise` the noise beyond the annulus over that within; `corner` the farthest of the four corner pixels.
        """
        n, size = len(plane), math.isqrt(plane.shape[1])
        sigma = np.where(noise > 0, noise, np.nan)
        outer = plane.take(self.annulus, axis=1)
        level = clipped_median(outer, sigma)
        off = (outer - level[:, None].astype(np.float32)) / sigma[:, None].astype(np.float32)
        off[~(np.abs(off) < CLIP_SIGMA)] = 0.0
        slopes = [
            (off * axis.astype(np.float32)).sum(axis=1, dtype=np.float64) / np.square(axis).sum()
            for axis in (self.annulus_x, self.annulus_y)
        ]
        rim_level = clipped_median(plane.take(self.rim, axis=1), sigma)

        square = plane.reshape(n, size, size)
        stripe = np.zeros(n)
        for part in self.outside:
            for strip, axis in ((square[:, part, :], 2), (square[:, :, part], 1)):
                away = (strip - level[:, None, None].astype(np.float32)) / sigma[:, None, None].astype(np.float32)
                kept = np.abs(away) < CLIP_SIGMA
                count = kept.sum(axis=axis)
                mean = np.where(kept, away, np.float32(0)).sum(axis=axis) / np.maximum(count, 1)
                stripe = np.maximum(stripe, (np.abs(mean) * np.sqrt(count)).max(axis=1))
        corners = square[:, [0, 0, -1, -1], [0, -1, 0, -1]] / sigma[:, None]
        return {
            "level": level / sigma,
            "gradient": np.hypot(*slopes) * self.radius,
            "stripe": np.where(np.isfinite(level), stripe, np.nan),
            "rim_level": rim_level / sigma,
            "rim_noise": ratio(noise_of(plane, self.rim_near), sigma),
            "corner": np.max(np.abs(np.nan_to_num(corners)), axis=1),
        }
