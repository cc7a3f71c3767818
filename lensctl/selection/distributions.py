"""Distributions of a population as nature has it and as the finder sees it, bin by bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.stats.intervals import Resampling, percentile_interval
from lensctl.stats.shares import too_few_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BINS = 10
TAIL = 0.005
"""Share of the weight beyond which the first and last bin are open."""


def edges_of(values: Floats, weight: Floats, *, logarithmic: bool, bins: int = BINS) -> Floats:
    """Edges of equal width (of equal ratio if logarithmic) over the middle of the weight: (bins + 1,), or fewer.

    The first and last reach to the least and greatest value.
    """
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weight[order]) / weight.sum()
    low, high = (float(np.interp(share, upto, values[order])) for share in (TAIL, 1 - TAIL))
    spaced = np.geomspace(low, high, bins + 1) if logarithmic and low > 0 else np.linspace(low, high, bins + 1)
    spaced[0], spaced[-1] = values.min(), values.max()
    return np.unique(spaced)


def intrinsic_and_selected(
    values: Floats,
    weight: Floats,
    p: Floats,
    low: Floats,
    high: Floats,
    pixel: NDArray[np.int64] | None,
    edges: Floats,
) -> list[dict[str, Any]]:
    """Share of all lenses and of the found ones in each bin, and p_det there, as plain values.

    Intervals of the shares are those of a bootstrap over HEALPix pixels; those of p_det are its own.

    Parameters
    ----------
    values, weight, p, low, high : (N,) float64
        Inside the support.
    pixel : (N,) int, optional
        Without pixels, or in too few, shares have no interval.
    """
    count = max(len(edges) - 1, 1)
    place = np.clip(np.searchsorted(edges, values, "right") - 1, 0, count - 1)
    mine = place[:, None] == np.arange(count)
    totals = np.concatenate([mine * weight[:, None], mine * (weight * p)[:, None]], axis=1)
    shares = _shares(totals.sum(axis=0)[None, :])[0]
    few = "no HEALPix pixels in the table" if pixel is None else too_few_pixels(len(np.unique(pixel)))
    drawn = None if few or pixel is None else _shares(Resampling(pixel).sums(totals))
    rows = []
    for k in range(count):
        amount = float(totals[:, k].sum())
        row: dict[str, Any] = {"low": float(edges[k]), "high": float(edges[min(k + 1, len(edges) - 1)])}
        for name, column in (("intrinsic", k), ("selected", count + k)):
            ends = (None, None) if drawn is None else percentile_interval(drawn[:, column])
            row[name] = _plain(shares[column], *ends)
        means = [float((weight * each)[mine[:, k]].sum() / amount) if amount else None for each in (p, low, high)]
        row["p_det"] = _plain(*means)
        rows.append({**row, **({"why": few} if few else {})})
    return rows


def _shares(totals: Floats) -> Floats:
    """Each half of the columns over its sum: (R, 2 K)."""
    halves = np.split(totals, 2, axis=1)
    with np.errstate(invalid="ignore"):
        return np.concatenate([half / half.sum(axis=1, keepdims=True) for half in halves], axis=1)


def _plain(value: float | None, low: float | None, high: float | None) -> dict[str, float | None]:
    named = {"value": value, "low": low, "high": high}
    return {name: None if v is None or not np.isfinite(v) else round(float(v), 6) for name, v in named.items()}
