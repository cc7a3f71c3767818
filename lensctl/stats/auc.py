"""How well a feature separates positives from comparable negatives, with confidence intervals.

The statistic is an AUC over pairs of a positive and a negative from the same stratum, or matched. Its variance is
that of DeLong's placements, summed over HEALPix pixels (Obuchowski 1997), because neighbours on the sky share seeing
and depth; the interval uses Student's t with one degree of freedom less than there are pixels.

A classifier score that is cross-validated on the same rows has a larger variance: any two rows of different folds
are compared twice, each once as training data of the other's classifier. If there is nothing to learn, the same
fluctuation is counted twice, and the variance is doubled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats.intervals import Estimate, logit_interval, placements, student_half_width, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

VARIANCE_FACTOR = 2  # for cross-validated scores, see above


def auc_within(score: Floats, is_lens: Bools, stratum: Ints, pixel: Ints, *, fitted: bool = False) -> Estimate:
    """AUC over pairs within strata, each stratum weighted by its number of positives.

    Parameters
    ----------
    score : (N,) float64
        Rows with NaN are left out.
    is_lens : (N,) bool
    stratum : (N,) int
        Strata that lack one class are left out.
    pixel : (N,) int
        HEALPix pixel of each row.
    fitted : bool
        The score is a classifier's, cross-validated on these rows.

    Returns
    -------
    Estimate
        `n` rows compared, of which `events` are positive; no value if no stratum has both classes.
    """
    known = np.isfinite(score)
    score, is_lens, stratum, pixel = score[known], is_lens[known], stratum[known], pixel[known]
    parts = []
    for rows in _groups(stratum):
        lenses, negatives = rows[is_lens[rows]], rows[~is_lens[rows]]
        if len(lenses) and len(negatives):
            parts.append((lenses, negatives, *placements(score[lenses], score[negatives])))
    total = sum(len(lenses) for lenses, *_ in parts)
    if not total:
        return Estimate(None)
    value = sum(auc * len(lenses) for lenses, _, auc, _, _ in parts) / total
    influence, used = np.zeros(len(score)), np.zeros(len(score), bool)
    for lenses, negatives, auc, per_lens, per_negative in parts:
        influence[lenses] = (per_lens - value) / total
        influence[negatives] = (per_negative - auc) / len(negatives) * len(lenses) / total
        used[lenses] = used[negatives] = True
    variance = _clustered(influence, np.flatnonzero(used), pixel) * (VARIANCE_FACTOR if fitted else 1)
    return _estimate(value, variance, pixel[is_lens & used], int(used.sum()), total)


def auc_of_pairs(score: Floats, positive: Ints, negative: Ints, pixel: Ints, *, fitted: bool = False) -> Estimate:
    """AUC over given pairs; each positive has the same weight regardless of its number of partners.

    Parameters
    ----------
    score : (N,) float64
        Pairs with NaN are left out.
    positive, negative : (P,) int
        Rows of each pair; a negative may be in several pairs.
    pixel : (N,) int
        HEALPix pixel of each row.
    fitted : bool
        The score is a classifier's, cross-validated on these rows.
    """
    known = np.isfinite(score[positive]) & np.isfinite(score[negative])
    positive, negative = positive[known], negative[known]
    if not len(positive):
        return Estimate(None)
    lenses, first, partners = np.unique(positive, return_inverse=True, return_counts=True)
    weight = 1.0 / (partners[first] * len(lenses))
    won = np.heaviside(score[positive] - score[negative], 0.5)
    value = float((weight * won).sum())
    each = weight * (won - value)
    of_positives = np.bincount(positive, each, len(score)).astype(float)
    influence = of_positives + np.bincount(negative, each, len(score)).astype(float)
    used = np.union1d(lenses, negative)
    # each pair's own variance is in both of its rows: subtract it once, but stay above that of the positives alone
    least = _clustered(of_positives, lenses, pixel)
    variance = max(_clustered(influence, used, pixel) - float((each**2).sum()), least)
    variance *= VARIANCE_FACTOR if fitted else 1
    return _estimate(value, variance, pixel[lenses], len(used), len(lenses))


def auc_difference(estimate: Estimate) -> Estimate:
    """For a binary feature: fraction of positives minus fraction of negatives that have it, from its AUC."""
    value, low, high = (None if x is None else 2 * x - 1 for x in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, low, high, estimate.n, estimate.events)


def _groups(stratum: Ints) -> list[Ints]:
    order = np.argsort(stratum, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1) if len(order) else []


def _clustered(influence: Floats, rows: Ints, pixel: Ints) -> float:
    """Variance of a mean from the influences of rows, clustered by pixel."""
    _, cluster = np.unique(pixel[rows], return_inverse=True)
    sums = np.bincount(cluster, influence[rows])
    return float((sums**2).sum() * len(sums) / max(len(sums) - 1, 1))


def _estimate(value: float, variance: float, lens_pixel: Ints, n: int, lenses: int) -> Estimate:
    if not variance:
        if 0 < value < 1:  # every pair a tie
            return Estimate(value, value, value, n, lenses)
        edge = wilson(lenses if value == 1 else 0, lenses)
        return Estimate(value, edge.low, edge.high, n, lenses)
    pixels = len(np.unique(lens_pixel))
    half = student_half_width(math.sqrt(variance), pixels)
    if not 0 < value < 1:
        return Estimate(value, max(0.0, value - half), min(1.0, value + half), n, lenses)
    return Estimate(value, *logit_interval(value, half), n, lenses)
