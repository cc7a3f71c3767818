"""Medians and noise of many cutouts at once, whatever their bad pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Images = NDArray[np.float32]

MAD_TO_SIGMA = 1.4826
CLIP_SIGMA = 3.0


def neighbours(region: NDArray[np.bool_], lag: int) -> tuple[Ints, Ints]:
    """Pairs of pixels of a region (S, S) that lie `lag` apart along x, as flat indices."""
    size = region.shape[1]
    row, column = np.nonzero(region[:, lag:] & region[:, :-lag])
    return row * size + column, row * size + column + lag


def clipped_median(values: Images, sigma: Floats) -> Floats:
    """Median of the values within 3 sigma of the median of all, (n, K) with NaN left out and (n,) to (n,)."""
    ordered = np.sort(values, axis=1)  # faster than a selection; NaN last
    middle = _middle(ordered, np.zeros(len(values), int), np.isfinite(ordered).sum(axis=1))
    low, high = ((middle + sign * CLIP_SIGMA * sigma)[:, None] for sign in (-1, 1))
    return _middle(ordered, (ordered < low).sum(axis=1), (ordered <= high).sum(axis=1))


def median(values: Floats | Images) -> Floats:
    """Median of each row ignoring NaN, (n, K) to (n,); NaN if there are no values."""
    ordered = np.sort(values, axis=1)
    return _middle(ordered, np.zeros(len(values), int), np.isfinite(ordered).sum(axis=1))


def _middle(ordered: NDArray[Any], first: Ints, last: Ints) -> Floats:
    """Median of the values from place `first` to before `last` of each sorted row; NaN where there are none."""
    rows, some = np.arange(len(ordered)), last > first
    low, high = (np.where(some, (first + last + step) // 2, 0) for step in (-1, 0))
    both = ordered[rows, low].astype(np.float64) + ordered[rows, high]
    return np.where(some, both / 2, np.nan)


def noise_of(plane: Images, pairs: tuple[Ints, Ints]) -> Floats:
    """Sigma of one pixel from the differences of pairs of pixels: (n, S*S) to (n,)."""
    first, second = (plane.take(pixels, axis=1) for pixels in pairs)
    return MAD_TO_SIGMA / math.sqrt(2.0) * median(np.abs(second - first))


def ratio(above: Floats, below: Floats) -> Floats:
    """Quotient; NaN where the divisor is not above 0."""
    found: Floats = np.full(np.shape(above), np.nan)
    return np.divide(above, below, out=found, where=below > 0)
