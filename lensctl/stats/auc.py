"""How well one number tells positives from negatives of the same kind, and how sure that is.

The figure is an AUC over pairs of a positive and a negative that are alike: of one stratum, or matched. Its
variance is that of DeLong's placements, summed over HEALPix pixels (Obuchowski 1997), because neighbours on the
sky share seeing, depth and neighbours; the interval is Student's with as many degrees as there are pixels.

A score that a classifier was cross-validated for on the same rows scatters more than that: every two rows of
different folds meet twice, each once in the training of the other's classifier. Where there is nothing to learn the
same luck is so counted twice, and the variance is double.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats.intervals import LEVEL, Estimate, placements, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

MEETINGS = 2  # of two rows in a cross-validation, see above


def auc_within(score: Floats, is_lens: Bools, stratum: Ints, pixel: Ints, *, fitted: bool = False) -> Estimate:
    """AUC over pairs of one stratum, each stratum weighted by its positives.

    Parameters
    ----------
    score : (N,) float64
        Rows where it is NaN are left out.
    is_lens : (N,) bool
    stratum : (N,) int
        Rows of a stratum that lacks one class are left out.
    pixel : (N,) int
        HEALPix pixel of each row.
    fitted : bool
        The score is a classifier's, cross-validated on these rows.

    Returns
    -------
    Estimate
        `n` rows compared, of which `events` positives; no value where no stratum has both classes.
    """
    known = np.isfinite(score)
    score, is_lens, stratum, pixel = score[known], is_lens[known], stratum[known], pixel[known]
    parts = []
    for rows in _groups(stratum):
        lenses, others = rows[is_lens[rows]], rows[~is_lens[rows]]
        if len(lenses) and len(others):
            parts.append((lenses, others, *placements(score[lenses], score[others])))
    total = sum(len(lenses) for lenses, *_ in parts)
    if not total:
        return Estimate(None)
    value = sum(auc * len(lenses) for lenses, _, auc, _, _ in parts) / total
    influence, used = np.zeros(len(score)), np.zeros(len(score), bool)
    for lenses, others, auc, per_lens, per_other in parts:
        influence[lenses] = (per_lens - value) / total
        influence[others] = (per_other - auc) / len(others) * len(lenses) / total
        used[lenses] = used[others] = True
    variance = _clustered(influence, np.flatnonzero(used), pixel) * (MEETINGS if fitted else 1)
    return _estimate(value, variance, pixel[is_lens & used], int(used.sum()), total)


def auc_of_pairs(score: Floats, positive: Ints, negative: Ints, pixel: Ints, *, fitted: bool = False) -> Estimate:
    """AUC over given pairs, each positive with the same weight however many partners it has.

    Parameters
    ----------
    score : (N,) float64
        Pairs where either is NaN are left out.
    positive, negative : (P,) int
        Rows of each pair; a negative may be in several.
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
    # a pair's own luck is in both of its rows: take it out once, but never below what the positives alone give
    least = _clustered(of_positives, lenses, pixel)
    variance = max(_clustered(influence, used, pixel) - float((each**2).sum()), least)
    variance *= MEETINGS if fitted else 1
    return _estimate(value, variance, pixel[lenses], len(used), len(lenses))


def auc_difference(estimate: Estimate) -> Estimate:
    """For a yes-or-no number: share of yes among positives minus that among negatives, from its AUC."""
    value, low, high = (None if x is None else 2 * x - 1 for x in (estimate.value, estimate.low, estimate.high))
    return Estimate(value, low, high, estimate.n, estimate.events)


def _groups(stratum: Ints) -> list[Ints]:
    order = np.argsort(stratum, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1) if len(order) else []


def _clustered(influence: Floats, rows: Ints, pixel: Ints) -> float:
    """Variance of a mean from the influences of some rows, those of one pixel taken together."""
    _, cluster = np.unique(pixel[rows], return_inverse=True)
    sums = np.bincount(cluster, influence[rows])
    return float((sums**2).sum() * len(sums) / max(len(sums) - 1, 1))


def _estimate(value: float, variance: float, lens_pixel: Ints, n: int, lenses: int) -> Estimate:
    from scipy.special import stdtrit  # Student's t; scipy.stats takes a second to import

    if not variance:
        if 0 < value < 1:  # every pair a tie
            return Estimate(value, value, value, n, lenses)
        edge = wilson(lenses if value == 1 else 0, lenses)
        return Estimate(value, edge.low, edge.high, n, lenses)
    pixels = len(np.unique(lens_pixel))
    half = float(stdtrit(max(pixels - 1, 1), (1 + LEVEL) / 2)) * math.sqrt(variance)
    if not 0 < value < 1:
        return Estimate(value, max(0.0, value - half), min(1.0, value + half), n, lenses)
    scale = value * (1 - value)
    logit = math.log(value / (1 - value))
    low, high = (1 / (1 + math.exp(-min(max(logit + sign * half / scale, -700), 700))) for sign in (-1, 1))
    return Estimate(value, low, high, n, lenses)
