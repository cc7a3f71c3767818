"""Brightness ratios between the classes, with intervals from a bootstrap over HEALPix pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats.intervals import Estimate, Resampling, percentile_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

ROUNDS = 1000


def pair_weights(positive: Ints) -> Floats:
    """Weight of each pair: every positive has weight one, shared among its partners."""
    _, first, partners = np.unique(positive, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / partners[first], float)


def matched_ratio(value: Floats, flux: Floats, positive: Ints, negative: Ints, pixel: Ints, seed: int) -> Estimate:
    """Median brightness of positives over the median of the negatives matched to them.

    A negative's brightness is scaled by the ratio of the catalogue fluxes, which differ slightly after matching.

    Parameters
    ----------
    value, flux : (N,) float64
        Brightness measured in the pixels and catalogue flux, of all rows.
    positive, negative : (P,) int
        Rows of each pair.
    pixel : (N,) int
        HEALPix pixel of each row; pairs are resampled by the pixel of their positive.
    """
    known = np.isfinite(value[positive]) & np.isfinite(value[negative])
    positive, negative = positive[known], negative[known]
    if not len(positive):
        return Estimate(None)
    weight = pair_weights(positive)
    of_positives = value[positive]
    of_negatives = value[negative] * flux[positive] / flux[negative]
    order1, order2 = np.argsort(of_positives, kind="stable"), np.argsort(of_negatives, kind="stable")
    negative_median = _median(of_negatives, weight[None, :], order2)
    lenses = len(np.unique(positive))
    if not negative_median[0] > 0:
        return Estimate(None, n=lenses)
    ratio = float(_median(of_positives, weight[None, :], order1)[0] / negative_median[0])
    resampling = Resampling(pixel[positive], ROUNDS, seed)
    rounds = np.full(ROUNDS, np.nan)
    for block, times in resampling.blocks():
        drawn = times[:, resampling.cluster] * weight
        top, bottom = _median(of_positives, drawn, order1), _median(of_negatives, drawn, order2)
        rounds[block] = np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)
    low, high = percentile_interval(rounds)
    return Estimate(ratio, low, high, lenses, lenses)


def _median(values: Floats, weights: Floats, order: Ints) -> Floats:
    """Weighted median for each row of weights: (K,) and (R, K) to (R,); NaN where all weights are zero."""
    running = np.cumsum(weights[:, order], axis=1)
    total = running[:, -1]
    place = (running < total[:, None] / 2).sum(axis=1)
    return np.where(total > 0, values[order][np.minimum(place, len(values) - 1)], np.nan)


def mean_ratio(value: Floats, is_lens: NDArray[np.bool_], pixel: Ints, seed: int) -> Estimate:
    """Mean brightness of positives over that of negatives; no value if the mean of the negatives is not positive."""
    known = np.isfinite(value)
    value, is_lens, pixel = value[known], is_lens[known], pixel[known]
    lenses = int(is_lens.sum())
    if not 0 < lenses < len(value) or not value[~is_lens].mean() > 0:
        return Estimate(None, n=len(value))
    columns = np.stack([value * is_lens, is_lens, value * ~is_lens, ~is_lens], axis=1).astype(float)
    sums = Resampling(pixel, ROUNDS, seed).sums(columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        rounds = (sums[:, 0] / sums[:, 1]) / (sums[:, 2] / sums[:, 3])
    low, high = percentile_interval(np.where(sums[:, 2] > 0, rounds, np.nan))
    return Estimate(float(value[is_lens].mean() / value[~is_lens].mean()), low, high, len(value), lenses)
