"""Shares of rows in each split, with intervals over HEALPix pixels: the split rule deals out whole pixels, not rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats.intervals import LEVEL, Estimate, Resampling, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_PIXELS = 12.0
"""Least effective number of pixels for an interval; with fewer, not even all rows in one split would lie outside it:
the lower end of Wilson's interval for 12 of 12 is 0.757."""


@dataclass(frozen=True)
class Shares:
    """Share of the rows in each part, and in how many pixels they lie.

    `effective` is the number of equally full pixels that would scatter as much, (sum n)^2 / sum n^2 (Kish 1965).
    """

    parts: dict[str, Estimate]
    pixels: int
    effective: float

    @property
    def have_intervals(self) -> bool:
        """Whether there are pixels enough for intervals."""
        return self.effective >= MIN_PIXELS


def shares(pixels: ArrayLike, part: NDArray[np.str_], names: Sequence[str], rows: ArrayLike | None = None) -> Shares:
    """Share of rows in each named part, with 95 % intervals where there are pixels enough.

    An interval is the wider, at each end, of a bootstrap over pixels and of Wilson's for as many rows as there are
    effective pixels. The bootstrap alone says 0 to 0 of a split that no pixel is in, and is too narrow for few or
    unequal pixels: of honest samples of 15 pixels that differ in rows, it puts a share outside the limits of ls-dr10 in
    31 %, and the wider of both in 1 %.

    Parameters
    ----------
    pixels : (N,) int
        HEALPix pixel of each row, or group of rows.
    part : (N,) str
        Part that each is in.
    names : sequence of str
        The parts.
    rows : (N,) int, optional
        Number of rows in each group; default 1.
    """
    weight = np.ones(len(part)) if rows is None else np.asarray(rows, float)
    distinct, place = np.unique(np.asarray(pixels, np.int64), return_inverse=True)

    def per_pixel(kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(place[kept], weight[kept], len(distinct)).astype(float)

    rows_of = per_pixel(np.ones(len(part), bool))
    n = int(rows_of.sum())
    if not n:
        return Shares({name: Estimate(None) for name in names}, 0, 0.0)
    counts = np.stack([per_pixel(part == name) for name in names], axis=1)  # (C, parts)
    effective = float(n**2 / (rows_of**2).sum())
    events = counts.sum(axis=0).astype(int).tolist()
    if effective < MIN_PIXELS:
        parts = {name: Estimate(found / n, n=n, events=found) for name, found in zip(names, events, strict=True)}
        return Shares(parts, len(distinct), effective)
    drawn = Resampling(distinct).sums(np.column_stack([counts, rows_of]))  # (rounds, parts + 1)
    drawn = drawn[drawn[:, -1] > 0]
    parts = {}
    for k, (name, found) in enumerate(zip(names, events, strict=True)):
        low, high = np.quantile(drawn[:, k] / drawn[:, -1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        equal = wilson(found / n * effective, effective)
        wider = min(float(low), equal.low or 0.0), max(float(high), equal.high or 1.0)
        parts[name] = Estimate(found / n, *wider, n, found)
    return Shares(parts, len(distinct), effective)
