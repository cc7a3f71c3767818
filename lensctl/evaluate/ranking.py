"""Ranking metrics: AUC, recall at low false positive rates, purity against completeness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate.scored import Scored
from lensctl.rules.acceptance import TARGET_FPRS
from lensctl.stats import metrics
from lensctl.stats.intervals import Estimate, Resampling, delong, percentile_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECALLS = (0.5, 0.8, 0.9, 0.95)
PRECISIONS = (0.1, 0.5, 0.9, 0.99)
BEFORE = (1, 10)
"""TPR0 and TPR10: the recall before the first and the tenth false positive."""


@dataclass(frozen=True)
class Auc:
    """An AUC and its two intervals: DeLong's, which assumes independent rows, and the bootstrap over pixels."""

    delong: Estimate
    pixels: tuple[float | None, float | None]

    @property
    def estimate(self) -> Estimate:
        """The AUC with the wider interval at each end."""
        lows = [low for low in (self.delong.low, self.pixels[0]) if low is not None]
        highs = [high for high in (self.delong.high, self.pixels[1]) if high is not None]
        low, high = min(lows, default=None), max(highs, default=None)
        return Estimate(self.delong.value, low, high, self.delong.n, self.delong.events)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: the estimate and both intervals."""
        return {
            **self.estimate.as_dict(),
            "delong": [self.delong.low, self.delong.high],
            "pixel_bootstrap": list(self.pixels),
        }


def auc(part: Scored, rounds: int, seed: int) -> Auc:
    """AUC with its intervals."""
    samples, *_ = Resampling(part.pixel, rounds, seed).ranking(part.is_lens, part.logit)
    return Auc(delong(part.is_lens, part.logit), percentile_interval(samples))


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
            points, metrics.point_before_false_positive(points, count), at_count[:, k]
        )
        for k, count in enumerate(BEFORE)
    }
    return {
        "lenses": int(points.lenses),
        "others": int(points.others),
        "pixels": len(np.unique(part.pixel)),
        "auc": Auc(delong(part.is_lens, part.logit), percentile_interval(samples)).as_dict(),
        "recall_at_fpr": [
            {"fpr": fpr, **_recall(points, metrics.point_at_fpr(points, fpr), at_fpr[:, k])}
            for k, fpr in enumerate(TARGET_FPRS)
        ],
        **before,
        "purity_at_completeness": purity_at_completeness(part, resampling),
        "recall_at_precision": {f"{p:g}": metrics.recall_at_precision(points, p) for p in PRECISIONS},
    }


def purity_at_completeness(
    part: Scored, resampling: Resampling, prevalence: float | None = None
) -> list[dict[str, Any]]:
    """Best purity at given completeness values; with a prevalence, on the sky."""
    weight = None if prevalence is None else part.weight
    points = metrics.curve(part.is_lens, part.logit, weight)
    counted = metrics.curve(part.is_lens, part.logit)
    samples = resampling.purity(part.is_lens, part.logit, RECALLS, weight, prevalence)
    rows = []
    for k, completeness in enumerate(RECALLS):
        purity = metrics.precision_at_recall(points, completeness, prevalence)
        if purity is None:
            rows.append({"completeness": completeness, **Estimate(None).as_dict()})
            continue
        low, high = percentile_interval(samples[:, k])
        enough = points.recall >= completeness * (1 - metrics.SLACK)
        best = points.threshold[enough][np.argmax(points.purity(prevalence)[enough])]
        point = counted.at(best)
        n, events = int(point.found + point.false), int(min(point.found, point.false))
        rows.append({"completeness": completeness, **Estimate(purity, low, high, n, events).as_dict()})
    return rows


def _recall(points: metrics.Curve, point: metrics.Point | None, samples: NDArray[np.float64]) -> dict[str, Any]:
    """A recall from a ROC; its events are the smaller of false positives and lenses found."""
    if point is None:
        return Estimate(None).as_dict()
    low, high = percentile_interval(samples)
    n, events = int(points.lenses), int(min(point.false, point.found))
    return {**Estimate(point.recall, low, high, n, events).as_dict(), "false_positives": int(point.false)}


def roc_points(part: Scored) -> dict[str, np.ndarray]:
    """The corners of the ROC where recall rises, and its ends: enough to plot it."""
    points = metrics.curve(part.is_lens, part.logit)
    if not points.has_both:
        return {"logit": np.empty(0), "fpr": np.empty(0), "recall": np.empty(0)}
    rises = np.diff(points.found, prepend=0) > 0
    keep = np.flatnonzero(rises | np.append(rises[1:], True))
    return {"logit": points.threshold[keep], "fpr": points.fpr[keep], "recall": points.recall[keep]}


def purity_points(part: Scored, prevalence: float | None = None) -> dict[str, np.ndarray]:
    """Purity at each completeness; with a prevalence, on the sky with sampling weights."""
    weight = None if prevalence is None else part.weight
    points = metrics.curve(part.is_lens, part.logit, weight)
    if not points.has_both:
        return {"logit": np.empty(0), "completeness": np.empty(0), "purity": np.empty(0)}
    rises = np.diff(points.found, prepend=0) > 0
    return {
        "logit": points.threshold[rises],
        "completeness": points.recall[rises],
        "purity": points.purity(prevalence)[rises],
    }
