"""The share of injections that was detected in cells of the axes, as counted: no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.selection.p_det.axes import Axis
from lensctl.stats.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

PARTS, LEAST_EFFECTIVE = 8, 20.0


def cells(
    axes: Sequence[Axis], values: Mapping[str, Floats], detected: Bools, pixel: Ints, *, pair: tuple[str, str]
) -> list[dict[str, Any]]:
    """Shares in cells of two axes, and of each axis alone, between values that part the rows into eighths.

    Returns
    -------
    list of dict
        axis, low, high, second (axis, or ""), second_low, second_high, k, n, n_eff, p, p_low, p_high, why: Wilson's
        interval of n_eff rows; no figure below LEAST_EFFECTIVE, and `why`.
    """
    edges = {axis.name: _edges(values[axis.name]) for axis in axes}
    part = {name: np.digitize(values[name], limits[1:-1]) for name, limits in edges.items()}
    first, second = pair
    width = len(edges[second]) - 1
    found = []
    for number, counted in enumerate(shares(part[first] * width + part[second], detected, pixel, _size(edges, pair))):
        places = {first: number // width, second: number % width}
        found.append(_row(edges, places) | counted)
    for name in edges:
        each = shares(part[name], detected, pixel, len(edges[name]) - 1)
        found += [_row(edges, {name: number}) | counted for number, counted in enumerate(each)]
    return found


def shares(cell: Ints, detected: Bools, pixel: Ints, count: int) -> list[dict[str, Any]]:
    """k, n, n_eff, p, p_low, p_high, why of each cell.

    Rows of a pixel are alike; how much, is one correlation for all cells together, because a cell alone has too few
    rows to tell: n_eff = n / (1 + rho (m - 1)), m the mean number of rows of the cell in a row's pixel.
    """
    n = np.bincount(cell, minlength=count)
    k = np.bincount(cell, detected, count)
    p = k / np.maximum(n, 1)
    within, at = np.unique(np.stack([cell, pixel]), axis=1, return_inverse=True)
    together = np.bincount(at)
    spread = np.maximum(p * (1 - p), 1e-12)
    residual = (detected - p[cell]) / np.sqrt(spread[cell])
    mixed = ((p > 0) & (p < 1))[within[0]]
    pairs = float((together * (together - 1.0))[mixed].sum())
    alike = float((np.bincount(at, residual) ** 2 - np.bincount(at, residual**2))[mixed].sum())
    rho = min(max(alike / pairs, 0.0), 1.0) if pairs else 0.0
    neighbours = np.bincount(within[0], together.astype(float) ** 2, count) / np.maximum(n, 1)
    effective = n / (1 + rho * np.maximum(neighbours - 1, 0))
    return [_share(int(k[i]), int(n[i]), float(effective[i])) for i in range(count)]


def _share(k: int, n: int, effective: float) -> dict[str, Any]:
    told: dict[str, Any] = {"k": k, "n": n, "n_eff": round(effective, 2), "p": None, "p_low": None, "p_high": None}
    if effective < LEAST_EFFECTIVE:
        return told | {"why": f"no figure: {effective:.1f} effective rows, fewer than {LEAST_EFFECTIVE:g}"}
    share = wilson(k / n * effective, effective)
    return told | {"p": k / n, "p_low": share.low, "p_high": share.high, "why": ""}


def _edges(values: Floats) -> Floats:
    """Values that part the rows into eighths; fewer where many rows have one value."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, PARTS + 1)))
    return edges if len(edges) > 1 else np.repeat(edges, 2)


def _size(edges: Mapping[str, Floats], pair: tuple[str, str]) -> int:
    return (len(edges[pair[0]]) - 1) * (len(edges[pair[1]]) - 1)


def _row(edges: Mapping[str, Floats], places: Mapping[str, int]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for prefix, (name, at) in zip(("", "second_"), places.items(), strict=False):
        told |= {
            "second" if prefix else "axis": name,
            f"{prefix}low": float(edges[name][at]),
            f"{prefix}high": float(edges[name][at + 1]),
        }
    return {"second": "", "second_low": None, "second_high": None} | told
