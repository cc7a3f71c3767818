"""The support of a fit: where injections lie near, so that p_det is known and not extrapolated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NEIGHBOUR, PERCENTILE = 10, 99.0
MOST_POINTS = 2048
"""Injections that stand for all of them; in eleven dimensions the tenth neighbour among 100,000 is a third nearer."""


@dataclass(frozen=True)
class Support:
    """Points of the design, and how far from them is still inside.

    A row is inside if its tenth neighbour among the points is no farther than that of 99 in 100 points, and every axis
    lies between the least and the greatest value of the injections: in many dimensions neighbours alone are so far that
    they would let a row lie beyond an end.

    Attributes
    ----------
    points : (P, A) float32
        Logarithms taken, divided by `scale`.
    scale : (A,) float64
        Standard deviation of each axis.
    least, greatest : (A,) float64
    reach : float
    """

    points: NDArray[np.float32]
    scale: Floats
    least: Floats
    greatest: Floats
    reach: float

    def inside(self, rows: Floats) -> NDArray[np.bool_]:
        """Whether rows lie in the support: (N, A), logarithms taken, to (N,)."""
        between = ((rows >= self.least) & (rows <= self.greatest)).all(axis=1)
        found = np.zeros(len(rows), bool)
        if between.any():
            found[between] = _neighbour(self.points, rows[between] / self.scale, NEIGHBOUR) <= self.reach
        return found


def support_of(rows: Floats) -> Support:
    """The support of injections: (N, A), logarithms taken; of points evenly spread over the rows."""
    spread = rows.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(MOST_POINTS, len(rows))).astype(np.int64))
    points = (rows[chosen] / scale).astype(np.float32)
    own = _neighbour(points, points.astype(np.float64), NEIGHBOUR + 1)  # the nearest is the point itself
    return Support(points, scale, rows.min(axis=0), rows.max(axis=0), float(np.percentile(own, PERCENTILE)))


def _neighbour(points: NDArray[np.float32], rows: Floats, number: int) -> Floats:
    """Distance of each row to its n-th nearest point: (N,)."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points.astype(np.float64))
    distance, _ = tree.query(rows, k=[min(number, len(points))])
    return np.asarray(distance[:, 0])
