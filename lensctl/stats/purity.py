"""Purity at a completeness, with an interval that knows that the threshold itself was chosen from few lenses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats import metrics
from lensctl.stats.intervals import LEVEL, Estimate
from lensctl.stats.shares import clopper_pearson, share_of_rows, weighted_share, without_false_positive

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

INTERVAL = "ratio of rates, and of the threshold"


def purity_at_completeness(
    label: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike,
    pixel: ArrayLike,
    completeness: float,
    prevalence: float,
    level: float = LEVEL,
) -> Estimate:
    """Best purity over all thresholds that find at least a fraction of the lenses, on a sky with a prevalence.

    Two things are uncertain: the false positive rate at a threshold (`shares.weighted_share`), and where the threshold
    of this completeness lies, which the recall's own interval says. Their logarithms are added in quadrature, as MOVER
    does (Zou & Donner 2008).

    Parameters
    ----------
    label, score, pixel : (N,)
    weight : (N,)
        Number of galaxies that each row represents; that of lenses is not used.
    completeness, prevalence : float

    Returns
    -------
    Estimate
        `n` rows selected, of which the smaller class are `events`.
    """
    is_lens, scores, pixels = np.asarray(label).astype(bool), np.asarray(score, np.float64), np.asarray(pixel)
    weights = np.where(is_lens, 1.0, np.asarray(weight, np.float64))
    points = metrics.curve(is_lens, scores, weights)
    if not points.has_both:
        return Estimate(None, n=len(scores), why="no lenses" if not is_lens.any() else "no non-lenses")
    enough = np.flatnonzero(points.recall >= completeness * (1 - metrics.SLACK))
    purity = points.purity(prevalence)
    best = enough[np.argmax(purity[enough])]
    taken = scores >= points.threshold[best]
    found, false = int((taken & is_lens).sum()), int((taken & ~is_lens).sum())
    n, events, value = found + false, min(found, false), float(purity[best])
    recall = share_of_rows(taken[is_lens], pixels[is_lens], level)
    rate = weighted_share(taken[~is_lens], weights[~is_lens], pixels[~is_lens], level)
    if recall.low is None or recall.high is None or rate.low is None or rate.high is None:
        return Estimate(value, None, None, n, events, why=recall.why or rate.why)
    low, high = _threshold_range(recall, level)
    looser = 1.0 if high is None else float(points.fpr[np.searchsorted(points.recall, high * (1 - metrics.SLACK))])
    stricter_at = int(np.searchsorted(points.recall, low, "right")) - 1
    stricter = float(points.fpr[stricter_at]) if stricter_at >= 0 else 0.0
    at = float(points.fpr[best])
    most, least = max(rate.high, looser), 0.0
    if at:
        most = at * math.exp(math.hypot(math.log(looser / at), math.log(rate.high / at)))
    if stricter and rate.low:
        least = at * math.exp(-math.hypot(math.log(at / stricter), math.log(at / rate.low)))
    share = float(points.recall[best])
    ends = [_purity(prevalence, share, min(false_rate, 1.0)) for false_rate in (most, least)]
    text = "" if false else without_false_positive(ends[0])
    return Estimate(value, min(ends[0], value), max(ends[1], value), n, events, INTERVAL, text=text)


def _threshold_range(recall: Estimate, level: float) -> tuple[float, float | None]:
    """Which empirical recalls the threshold of the true recall may have; None: it may lie below every lens."""
    from scipy.special import ndtri

    assert recall.value is not None
    assert recall.low is not None
    assert recall.high is not None
    effective = float(recall.n)
    if 0 < recall.value < 1:
        half = (recall.high - recall.low) / 2
        effective = max(1.0, min(effective, ndtri((1 + level) / 2) ** 2 * recall.value * (1 - recall.value) / half**2))
    low, high = clopper_pearson(recall.value * effective, effective, level)
    return low, None if recall.value**effective > (1 - level) / 2 else high


def _purity(prevalence: float, recall: float, fpr: float) -> float:
    lenses = prevalence * recall
    return lenses / (lenses + (1 - prevalence) * fpr)
