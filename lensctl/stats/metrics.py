"""Classification metrics: AUC, ROC, recall, purity. Equal scores are never separated by a threshold.

Everywhere `label` is (N,), 1 for a lens and 0 for a non-lens; `score` is (N,), higher is more lens-like, finite;
`weight` is (N,), the number of galaxies a row represents (default 1). A row is selected by a threshold if
score >= threshold. Undefined metrics, such as an AUC of one class, are None.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SLACK = 1e-12
"""Relative tolerance in comparisons of rates, so that 0.29 of 100 is 29."""


@dataclass(frozen=True)
class Point:
    """A threshold with the weights of true positives (found) and false positives."""

    threshold: float
    found: float
    false: float
    recall: float
    fpr: float


@dataclass(frozen=True)
class Curve:
    """True and false positives at every threshold, from the highest to the lowest.

    Attributes
    ----------
    threshold : (K,) float64
        The distinct scores, descending.
    found, false : (K,) float64
        Weight of lenses and of non-lenses with score >= threshold.
    """

    threshold: NDArray[np.float64]
    found: NDArray[np.float64]
    false: NDArray[np.float64]

    @property
    def lenses(self) -> float:
        """Weight of all lenses."""
        return float(self.found[-1]) if len(self.found) else 0.0

    @property
    def others(self) -> float:
        """Weight of all non-lenses."""
        return float(self.false[-1]) if len(self.false) else 0.0

    @cached_property
    def recall(self) -> NDArray[np.float64]:
        """(K,) fraction of lenses found; completeness."""
        return self.found / self.lenses

    @cached_property
    def fpr(self) -> NDArray[np.float64]:
        """(K,) false positive rate."""
        return self.false / self.others

    @property
    def has_both(self) -> bool:
        """Whether both classes are present."""
        return self.lenses > 0 and self.others > 0

    def purity(self, prevalence: float | None = None) -> NDArray[np.float64]:
        """(K,) fraction of lenses among selected rows, as sampled or for a given prevalence of lenses."""
        if prevalence is None:
            return self.found / (self.found + self.false)
        lenses = prevalence * self.recall
        return lenses / (lenses + (1 - prevalence) * self.fpr)

    def at(self, threshold: float) -> Point:
        """The point at a threshold."""
        taken = int(np.searchsorted(-self.threshold, -threshold, side="right"))
        found, false = (float(total[taken - 1]) if taken else 0.0 for total in (self.found, self.false))
        rates = (
            part / whole if whole else float("nan") for part, whole in ((found, self.lenses), (false, self.others))
        )
        return Point(float(threshold), found, false, *rates)

    def strictest_above(self) -> float:
        """A threshold just above the highest score, which selects nothing."""
        return float(np.nextafter(self.threshold[0], np.inf))


def curve(label: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> Curve:
    """Cumulative counts from which recall, false positive rate and purity follow at any threshold."""
    is_lens, score, weight = _columns(label, score, weight)
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last_of_tie = np.flatnonzero(np.append(np.diff(ordered) != 0, True)) if len(ordered) else np.empty(0, int)
    found = np.cumsum(np.where(is_lens, weight, 0.0)[order])[last_of_tie]
    false = np.cumsum(np.where(is_lens, 0.0, weight)[order])[last_of_tie]
    return Curve(ordered[last_of_tie], found, false)


def roc_auc(label: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Area under the ROC curve: the probability that a lens scores above a non-lens, ties counting half."""
    points = curve(label, score, weight)
    return area(points) if points.has_both else None


def area(points: Curve) -> float:
    """Area under a ROC curve; exact for integer weights."""
    steps = np.diff(points.false, prepend=0.0)
    middle = points.found - np.diff(points.found, prepend=0.0) / 2
    return float((steps * middle).sum() / (points.lenses * points.others))


def point_at_fpr(points: Curve, target: float) -> Point | None:
    """The lowest threshold with false positive rate at most `target`; above all scores if there is none."""
    if not points.has_both:
        return None
    return _loosest(points, points.false <= target * points.others * (1 + SLACK))


def point_before_false_positive(points: Curve, count: int) -> Point | None:
    """The lowest threshold before the `count`-th false positive.

    Its recall is TPR0 for count 1 and TPR10 for count 10 (Metcalf et al. 2019, A&A 625, A119).
    """
    return _loosest(points, points.false < count) if points.has_both else None


def _loosest(points: Curve, allowed: NDArray[np.bool_]) -> Point:
    number = int(allowed.sum())  # false positives never decrease along the curve
    return points.at(points.threshold[number - 1] if number else points.strictest_above())


def precision_at_recall(points: Curve, recall: float, prevalence: float | None = None) -> float | None:
    """Best purity over all thresholds with at least this recall."""
    if not points.has_both:
        return None
    return float(points.purity(prevalence)[points.recall >= recall * (1 - SLACK)].max())


def recall_at_precision(points: Curve, precision: float, prevalence: float | None = None) -> float | None:
    """Highest recall over all thresholds with at least this purity; 0 if there is none."""
    if not points.has_both:
        return None
    return float(points.recall[points.purity(prevalence) >= precision * (1 - SLACK)].max(initial=0.0))


def _columns(
    label: ArrayLike, score: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    is_lens = np.asarray(label).astype(bool)
    score = np.asarray(score, np.float64)
    weight = np.ones(len(score)) if weight is None else np.asarray(weight, np.float64)
    if not len(is_lens) == len(score) == len(weight):
        raise ValueError("label, score and weight differ in length")
    if not np.isfinite(score).all():
        raise ValueError("a score is not finite")
    return is_lens, score, weight
