"""The functions that p_det is a sum of: splines of each axis, and products of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.selection.p_det.axes import FEW_KNOTS, Axis, tensors_of
from lensctl.stats.fits import splines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TAIL = 0.005
"""Share of rows beyond the first, and beyond the last, knot of an axis: splines are flat there."""

SMOOTH, FINE, TOGETHER = "axes", "fine axes", "pairs"
"""Groups of functions, each with a penalty of its own."""


@dataclass(frozen=True)
class Functions:
    """A constant, splines of every axis but the first of each, and products of two axes with four functions each.

    Attributes
    ----------
    knots : tuple of (K,) float64
        Of each axis, at equal shares of the rows, logarithms taken; one knot where all rows have one value.
    fine : tuple of bool
        Which axes have many knots.
    pairs : tuple of (int, int)
        Axes whose products are functions too.
    """

    knots: tuple[Floats, ...]
    fine: tuple[bool, ...]
    pairs: tuple[tuple[int, int], ...]

    def matrix(self, rows: Floats) -> Floats:
        """Values of all functions: (N, A), logarithms taken, to (N, K)."""
        blocks = [np.ones((len(rows), 1))]
        blocks += [splines.basis(rows[:, at], self.knots[at])[:, 1:] for at in self._varied]
        for pair in self.pairs:
            blocks.append(splines.tensor(*(splines.basis(rows[:, at], self.knots[at][[0, -1]]) for at in pair)))
        return np.hstack(blocks)

    @property
    def _varied(self) -> list[int]:
        return [at for at, knots in enumerate(self.knots) if len(knots) > 1]

    def penalties(self) -> dict[str, Floats]:
        """Roughness of each group of functions that there are: (K, K) each, to be multiplied by a strength."""
        blocks: list[tuple[str, Floats]] = [
            (FINE if self.fine[at] else SMOOTH, splines.roughness(self.knots[at])[1:, 1:]) for at in self._varied
        ]
        for pair in self.pairs:
            each = [splines.roughness(self.knots[at][[0, -1]]) for at in pair]
            blocks.append((TOGETHER, splines.tensor_roughness(*each)))
        count = 1 + sum(len(block) for _, block in blocks)
        found: dict[str, Floats] = {}
        start = 1
        for group, block in blocks:
            place = slice(start, start + len(block))
            found.setdefault(group, np.zeros((count, count)))[place, place] = block
            start += len(block)
        return found


def functions_of(axes: Sequence[Axis], rows: Floats) -> Functions:
    """Functions whose knots lie where the rows are: (N, A), logarithms taken."""
    knots = tuple(
        np.unique(np.quantile(column, np.linspace(TAIL, 1 - TAIL, axis.knots)))
        for axis, column in zip(axes, rows.T, strict=True)
    )
    place = {axis.name: at for at, axis in enumerate(axes)}
    pairs = tuple((place[a], place[b]) for a, b in tensors_of(axes))
    varied = tuple(pair for pair in pairs if all(len(knots[at]) > 1 for at in pair))
    return Functions(knots, tuple(axis.knots > FEW_KNOTS for axis in axes), varied)
