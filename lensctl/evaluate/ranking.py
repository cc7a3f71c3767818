"""Ranking metrics: AUC, recall at low false positive rates, purity against completeness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate.scored import Scored
from lensctl.rules.acceptance import TARGET_FPRS
from lensctl.stats import metrics
from lensctl.stats.few_lenses import are_few, auc_of_few
from lensctl.stats.intervals import Estimate, Resampling, delong, percentile_interval
from lensctl.stats.purity import purity_at_completeness
from lensctl.stats.shares import counted, purity_at, share_of_rows, too_few_pixels, weighted_share
from lensctl.stats.thresholds import resolves, unresolved

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECALLS = (0.5, 0.8, 0.9, 0.95)
PRECISIONS = (0.1, 0.5, 0.9, 0.99)
BEFORE = (1, 10)
"""TPR0 and TPR10: the recall before the first and the tenth false positive."""


SHOWN_INTERVALS = 30
"""Intervals along a curve."""

DELONG_OR_BOOTSTRAP = "wider of DeLong's and the bootstrap over pixels"
BOOTSTRAP = "bootstrap over pixels"


@dataclass(frozen=True)
class Auc:
    """An AUC and its intervals.

    Attributes
    ----------
    delong : Estimate
        With DeLong's interval, which assumes independent rows.
    pixels : (low, high)
        Of the bootstrap over pixels.
    few : Estimate, optional
        With the score interval, which takes the place of both where lenses or their pixels are few.
    """

    delong: Estimate
    pixels: tuple[float | None, float | None]
    few: Estimate | None = None

    @property
    def estimate(self) -> Estimate:
        """The AUC with the score interval of few lenses, or else with the wider interval at each end."""
        if self.few is not None:
            return self.few
        lows = [low for low in (self.delong.low, self.pixels[0]) if low is not None]
        highs = [high for high in (self.delong.high, self.pixels[1]) if high is not None]
        low, high = min(lows, default=None), max(highs, default=None)
        name = "" if low is None else DELONG_OR_BOOTSTRAP
        return Estimate(self.delong.value, low, high, self.delong.n, self.delong.events, name)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: the estimate and all intervals."""
        return {
            **self.estimate.as_dict(),
            "delong": [self.delong.low, self.delong.high],
            "pixel_bootstrap": list(self.pixels),
            "score": None if self.few is None else [self.few.low, self.few.high],
        }


def auc(part: Scored, rounds: int, seed: int) -> Auc:
    """AUC with its intervals."""
    samples, *_ = Resampling(part.pixel, rounds, seed).ranking(part.is_lens, part.logit)
    return _auc(part, samples)


def _auc(part: Scored, samples: NDArray[np.float64]) -> Auc:
    few = auc_of_few(part.is_lens, part.logit, part.pixel) if are_few(part.is_lens, part.pixel) else None
    return Auc(delong(part.is_lens, part.logit), percentile_interval(samples), few)


def tier_a(part: Scored) -> Scored:
    """Tier A lenses and all negatives, the rows for a tier-A AUC."""
    return part.where(~part.is_lens | (part.tier == "A"))


def figures(part: Scored, rounds: int, seed: int) -> dict[str, Any]:
    """All ranking metrics of a split, with thresholds from its own ROC."""
    resampling = Resampling(part.pixel, rounds, seed)
    samples, at_fpr, at_count = resampling.ranking(part.is_lens, part.logit, TARGET_FPRS, BEFORE)
    points = metrics.curve(part.is_lens, part.logit)
    before = {
        f"tpr{count if count > 1 else 0}": _recall(
            points, metrics.point_before_false_positive(points, count), at_count[:, k], resampling
        )
        for k, count in enumerate(BEFORE)
    }
    return {
        "lenses": int(points.lenses),
        "others": int(points.others),
        "pixels": len(np.unique(part.pixel)),
        "auc": _auc(part, samples).as_dict(),
        "recall_at_fpr": [
            {"fpr": fpr, **recall_at_fpr(points, fpr, at_fpr[:, k], resampling)} for k, fpr in enumerate(TARGET_FPRS)
        ],
        **before,
        "purity_at_completeness": purities(part),
        "recall_at_precision": {f"{p:g}": metrics.recall_at_precision(points, p) for p in PRECISIONS},
    }


def purities(part: Scored, prevalence: float | None = None) -> list[dict[str, Any]]:
    """Best purity at given completeness values; with a prevalence, on the sky."""
    weight = np.ones(len(part)) if prevalence is None else part.weight
    share = float(part.is_lens.mean()) if prevalence is None and len(part) else prevalence or 0.0
    columns = (part.is_lens, part.logit, weight, part.pixel)
    return [
        {"completeness": completeness, **purity_at_completeness(*columns, completeness, share).as_dict()}
        for completeness in RECALLS
    ]


def recall_at_fpr(
    points: metrics.Curve, fpr: float, samples: NDArray[np.float64], resampling: Resampling
) -> dict[str, Any]:
    """Recall at a false positive rate; only a bound where less than one false positive is expected at it."""
    others, lenses = int(points.others), int(points.lenses)
    if not points.has_both or resolves(fpr, others):
        return _recall(points, metrics.point_at_fpr(points, fpr), samples, resampling)
    first = metrics.point_before_false_positive(points, 1)
    assert first is not None
    text = f"{unresolved(fpr, others)}; before the first ({counted(0, others)}) recall is {first.recall:.3f}"
    return {**Estimate(None, n=lenses, why=text).as_dict(), "false_positives": None}


def _recall(
    points: metrics.Curve, point: metrics.Point | None, samples: NDArray[np.float64], resampling: Resampling
) -> dict[str, Any]:
    """A recall from a ROC; its events are the fewest of false positives, lenses found and lenses missed."""
    if point is None:
        why = "no lenses" if not points.lenses else "no non-lenses"
        return {**Estimate(None, why=why).as_dict(), "false_positives": None}
    few_pixels = too_few_pixels(len(resampling.pixels))
    low, high = (None, None) if few_pixels else percentile_interval(samples)
    n, events = int(points.lenses), int(min(point.false, point.found, points.lenses - point.found))
    name = "" if low is None else BOOTSTRAP
    return {
        **Estimate(point.recall, low, high, n, events, name, few_pixels).as_dict(),
        "false_positives": int(point.false),
    }


def roc_points(part: Scored) -> dict[str, np.ndarray]:
    """The corners of the ROC where recall rises, and its ends: enough to plot it, with intervals of some recalls."""
    points = metrics.curve(part.is_lens, part.logit)
    if not points.has_both:
        return dict.fromkeys(("logit", "fpr", "recall", "recall_low", "recall_high"), np.empty(0))
    rises = np.diff(points.found, prepend=0) > 0
    keep = np.flatnonzero(rises | np.append(rises[1:], True))
    highest = np.flatnonzero(np.append(np.diff(points.fpr[keep]) > 0, True))  # of the recalls at each rate
    ends = _ends(part, points.threshold[keep], lambda recall, _: recall, highest)
    found = {"logit": points.threshold[keep], "fpr": points.fpr[keep], "recall": points.recall[keep]}
    return {**found, "recall_low": ends[0], "recall_high": ends[1]}


def purity_points(part: Scored, prevalence: float | None = None) -> dict[str, np.ndarray]:
    """Purity at each completeness, with intervals of some; with a prevalence, on the sky with sampling weights."""
    weight = None if prevalence is None else part.weight
    points = metrics.curve(part.is_lens, part.logit, weight)
    if not points.has_both:
        return dict.fromkeys(("logit", "completeness", "purity", "purity_low", "purity_high"), np.empty(0))
    rises = np.diff(points.found, prepend=0) > 0
    share = float(part.is_lens.mean()) if prevalence is None else prevalence
    weighted = part if prevalence is not None else replace(part, weight=np.ones(len(part)))
    every = np.arange(int(rises.sum()))
    ends = _ends(weighted, points.threshold[rises], lambda recall, rate: purity_at(share, recall, rate), every)
    return {
        "logit": points.threshold[rises],
        "completeness": points.recall[rises],
        "purity": points.purity(prevalence)[rises],
        "purity_low": ends[0],
        "purity_high": ends[1],
    }


def _ends(
    part: Scored,
    thresholds: NDArray[np.float64],
    figure: Callable[[Estimate, Estimate], Estimate],
    among: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(2, K) ends of the interval of a figure of recall and weighted FPR; NaN except at some thirty of `among`."""
    ends = np.full((2, len(thresholds)), np.nan)
    lens, other = part.where(part.is_lens), part.where(~part.is_lens)
    for k in among[np.unique(np.linspace(0, len(among) - 1, SHOWN_INTERVALS).astype(int))]:
        recall = share_of_rows(lens.logit >= thresholds[k], lens.pixel)
        found = figure(recall, weighted_share(other.logit >= thresholds[k], other.weight, other.pixel))
        if found.low is not None and found.high is not None:
            ends[:, k] = found.low, found.high
    return ends
