"""How much sky was searched, from where rows are: HEALPix cells with a scored row, and those in which all were lost.

What a survey covers in truth has holes smaller than bricks, and rows know of them. Cells are as small as they may be
with ten rows each on average, so that few are empty by chance. Along the edges a cell is searched in part: the area
lies between that of the cells whose neighbours are all searched and that of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FULL_ORDER = 29
SMALLEST_ORDER, LARGEST_ORDER = 12, 5
ROWS_A_CELL = 10.0
MANY_ROWS = (3_000_000, 12_000_000)
"""Rows beyond which the smallest cells that are counted are of one order less, for memory's sake."""

SKY_DEG2 = 4 * np.pi * np.degrees(1) ** 2


@dataclass(frozen=True)
class Area:
    """Cells of one order (nested): those with a scored row, and those with rows none of which was scored."""

    order: int
    searched: NDArray[np.int64]
    lost: NDArray[np.int64]

    @property
    def cell_deg2(self) -> float:
        """Area of a cell."""
        return float(SKY_DEG2 / (12 * 4**self.order))

    @property
    def searched_deg2(self) -> float:
        """Area of the searched cells."""
        return len(self.searched) * self.cell_deg2

    @property
    def inner_deg2(self) -> float:
        """Area of the searched cells whose neighbours are all searched: the least that the searched area can be."""
        import healpy

        if not len(self.searched):
            return 0.0
        around = healpy.get_all_neighbours(2**self.order, self.searched, nest=True)  # (8, N), -1 where there is none
        inside = (np.isin(around, self.searched) | (around < 0)).all(axis=0)
        return int(inside.sum()) * self.cell_deg2

    def holds(self, ra: ArrayLike, dec: ArrayLike) -> NDArray[np.bool_]:
        """Whether positions (degrees) lie in a searched cell: (N,) bool."""
        from lensctl.rules.split import healpix

        return np.isin(healpix(ra, dec, 2**self.order), self.searched)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "order": self.order,
            "searched_cells": len(self.searched),
            "searched_deg2": self.searched_deg2,
            "searched_deg2_without_edges": self.inner_deg2,
            "lost_cells": len(self.lost),
            "lost_deg2": len(self.lost) * self.cell_deg2,
        }


class CellCounts:
    """Rows and scored rows by cell, counted part by part of the sky.

    Parameters
    ----------
    rows : int
        How many there will be.
    """

    def __init__(self, rows: int) -> None:
        self.order = SMALLEST_ORDER - sum(rows > many for many in MANY_ROWS)
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []

    def add(self, pixel29: NDArray[np.int64], scored: NDArray[np.bool_]) -> None:
        """Add rows by their HEALPix pixels of order 29, and which of them have a score."""
        cells, which = np.unique(pixel29 >> 2 * (FULL_ORDER - self.order), return_inverse=True)
        rows = np.bincount(which, minlength=len(cells))
        self._parts.append((cells, rows, np.bincount(which, scored, minlength=len(cells)).astype(np.int64)))

    def area(self) -> Area:
        """The smallest cells that hold enough rows each, on average."""
        cells, rows, scored = (
            np.concatenate([np.zeros(0, np.int64), *part]) for part in zip(*self._parts, strict=True)
        )
        order = self.order
        while True:
            cells, which = np.unique(cells, return_inverse=True)
            rows, scored = (
                np.bincount(which, values, minlength=len(cells)).astype(np.int64) for values in (rows, scored)
            )
            if order == LARGEST_ORDER or rows.sum() >= ROWS_A_CELL * len(cells):
                return Area(order, cells[scored > 0], cells[scored == 0])
            cells, order = cells >> 2, order - 1
