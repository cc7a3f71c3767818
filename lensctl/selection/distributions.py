"""Distributions of a population as nature has it and as the finder sees it, bin by bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.stats.intervals import Resampling, Z, percentile_interval
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


def places(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """Bin of each value between some edges, from 0: (N,)."""
    return np.clip(np.searchsorted(edges, values, "right") - 1, 0, max(len(edges) - 2, 0))


def intrinsic_and_selected(
    place: NDArray[np.int64],
    weight: Floats,
    p: Floats,
    low: Floats,
    high: Floats,
    pixel: NDArray[np.int64] | None,
    edges: Floats,
    errors: Floats,
) -> list[dict[str, Any]]:
    """Share of all lenses and of the found ones in each bin, and p_det there, as plain values.

    Intervals of the shares are those of a bootstrap over HEALPix pixels, that of the found ones widened, in quadrature,
    by the errors of p_det; those of p_det are its own.

    Parameters
    ----------
    place : (N,) int
        Bin of each lens, as of `places`.
    weight, p, low, high : (N,) float64
        Inside the support.
    pixel : (N,) int, optional
        Without pixels rows are taken for independent; in too few, shares have no interval.
    errors : (bins,) float64
        Half width of the interval that errors of p_det give the share of found lenses.
    """
    count = max(len(edges) - 1, 1)
    mine = place[:, None] == np.arange(count)
    totals = np.concatenate([mine * weight[:, None], mine * (weight * p)[:, None]], axis=1)
    shares = _shares(totals.sum(axis=0)[None, :])[0]
    few = "" if pixel is None else too_few_pixels(len(np.unique(pixel)))
    own = [np.zeros(count), np.pad(errors, (0, count - len(errors)))]
    ends = None if few else _ends(totals, shares, pixel, np.concatenate(own))
    rows = []
    for k in range(count):
        amount = float(totals[:, k].sum())
        row: dict[str, Any] = {"low": float(edges[k]), "high": float(edges[min(k + 1, len(edges) - 1)])}
        for name, column in (("intrinsic", k), ("selected", count + k)):
            row[name] = _plain(shares[column], *((None, None) if ends is None else ends[:, column]))
        means = [float((weight * each)[mine[:, k]].sum() / amount) if amount else None for each in (p, low, high)]
        row["p_det"] = _plain(*means)
        rows.append({**row, **({"why": few} if few else {})})
    return rows


def _ends(totals: Floats, shares: Floats, pixel: NDArray[np.int64] | None, errors: Floats) -> Floats:
    """Lower and upper ends of the shares, each widened by its own error: (2, 2 K)."""
    if pixel is None:
        whole = np.repeat([half.sum() for half in np.split(totals, 2, axis=1)], totals.shape[1] // 2)
        of_row = np.repeat([half.sum(axis=1) for half in np.split(totals, 2, axis=1)], totals.shape[1] // 2, axis=0).T
        scatter = Z * np.sqrt(((totals - of_row * shares) ** 2).sum(axis=0)) / whole
        low, high = shares - scatter, shares + scatter
    else:
        low, high = np.array([percentile_interval(of) for of in _shares(Resampling(pixel).sums(totals)).T]).T
    ends = [shares - np.hypot(shares - low, errors), shares + np.hypot(high - shares, errors)]
    return np.asarray(np.clip(ends, 0.0, 1.0), np.float64)


def _shares(totals: Floats) -> Floats:
    """Each half of the columns over its sum: (R, 2 K)."""
    halves = np.split(totals, 2, axis=1)
    with np.errstate(invalid="ignore"):
        return np.concatenate([half / half.sum(axis=1, keepdims=True) for half in halves], axis=1)


def _plain(value: float | None, low: float | None, high: float | None) -> dict[str, float | None]:
    named = {"value": value, "low": low, "high": high}
    return {name: None if v is None or not np.isfinite(v) else round(float(v), 6) for name, v in named.items()}
