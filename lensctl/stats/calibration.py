"""Probability calibration: calibration errors, Platt and temperature scaling, change of prior.

`label` is (N,), 1 for a lens; `p` is (N,), the predicted probability; `weight` is (N,), the number of galaxies a row
represents. Errors are None if only one class is present.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BINS = 10
By = Literal["width", "mass"]


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram: predicted probability and observed fraction of lenses per non-empty bin.

    Attributes
    ----------
    low, high : (B,) float64
        Bin edges (equal width), or smallest and largest p in the bin (equal mass).
    n, lenses : (B,) int64
        Numbers of rows and lenses.
    weight, lens_weight : (B,) float64
        The same, weighted.
    mean_p, observed : (B,) float64
        Weighted mean p and fraction of lenses.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: NDArray[np.int64]
    lenses: NDArray[np.int64]
    weight: NDArray[np.float64]
    lens_weight: NDArray[np.float64]
    mean_p: NDArray[np.float64]
    observed: NDArray[np.float64]


def bin_of(p: NDArray[np.float64], bins: int = BINS, by: By = "width") -> NDArray[np.int64]:
    """Bin index of each row: bins of equal width in p, or with equal numbers of rows (equal p share a bin)."""
    if by == "width":
        return np.minimum((p * bins).astype(np.int64), bins - 1)
    rank = np.searchsorted(np.sort(p), p, "left")
    return rank * bins // max(len(p), 1)


def reliability(
    label: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None, *, bins: int = BINS, by: By = "width"
) -> Reliability:
    """Compute the reliability diagram."""
    is_lens, p = np.asarray(label).astype(bool), np.asarray(p, np.float64)
    weight = np.ones(len(p)) if weight is None else np.asarray(weight, np.float64)
    which = bin_of(p, bins, by)
    occupied, which = np.unique(which, return_inverse=True)
    count = len(occupied)

    def total(values: NDArray[np.float64] | None) -> NDArray[np.float64]:
        return np.bincount(which, values, count).astype(np.float64)

    if by == "width":
        low, high = occupied / bins, (occupied + 1) / bins
    else:
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(low, which, p)
        np.maximum.at(high, which, p)
    weights, lens_weights = total(weight), total(weight * is_lens)
    safe = np.where(weights > 0, weights, 1.0)
    return Reliability(
        low,
        high,
        total(None).astype(np.int64),
        total(is_lens.astype(np.float64)).astype(np.int64),
        weights,
        lens_weights,
        total(weight * p) / safe,
        lens_weights / safe,
    )


def ece(
    label: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None, *, bins: int = BINS, by: By = "width"
) -> float | None:
    """Expected calibration error: mean over rows of |mean p - fraction of lenses| in their bin."""
    if not _both(label):
        return None
    table = reliability(label, p, weight, bins=bins, by=by)
    return float((table.weight * np.abs(table.mean_p - table.observed)).sum() / table.weight.sum())


def ece_positive(label: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None, *, bins: int = BINS) -> float | None:
    """Calibration error where the lenses are: the same, averaged over lenses, in bins of equal width.

    The error over all rows is dominated by the negatives, which are a hundred times as many.
    """
    if not _both(label):
        return None
    table = reliability(label, p, weight, bins=bins)
    return float((table.lens_weight * np.abs(table.mean_p - table.observed)).sum() / table.lens_weight.sum())


@dataclass(frozen=True)
class Scaling:
    """A calibration: p = logistic(slope * logit + bias)."""

    kind: str
    slope: float
    bias: float

    def logit(self, logit: ArrayLike) -> NDArray[np.float64]:
        """Calibrated logit of a raw logit."""
        return self.slope * np.asarray(logit, np.float64) + self.bias

    def p(self, logit: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probability of a raw logit."""
        return logistic(self.logit(logit))

    def moved(self, prior: float, new_prior: float) -> Scaling:
        """The scaling for another prevalence of lenses (Saerens, Latinne & Decaestecker 2002)."""
        shift = math.log(new_prior / (1 - new_prior)) - math.log(prior / (1 - prior))
        return Scaling(self.kind, self.slope, self.bias + shift)


def fit_platt(label: ArrayLike, logit: ArrayLike, weight: ArrayLike | None = None) -> Scaling | None:
    """Maximum-likelihood Platt scaling (slope and bias); None if only one class is present.

    Following Platt (1999), targets are (L + u) / (L + 2 u) for lenses and u / (N + 2 u) for non-lenses instead of 1 and
    0, so that perfectly separated classes give a finite slope. L and N are the weights of all lenses and non-lenses,
    and u is the mean weight of a lens, so that the fit does not depend on the scale of the weights.
    """
    if not _both(label):
        return None
    x, target, weight = _fit_columns(label, logit, weight)
    scale = float(np.std(x)) or 1.0
    centre = float(np.mean(x))
    z = (x - centre) / scale
    prior = float((weight * target).sum() / weight.sum())
    theta = np.array([1.0, math.log(prior / (1 - prior))])
    design = np.stack([z, np.ones_like(z)], axis=1)
    slope, bias = _newton(theta, design, target, weight)
    return Scaling("platt", slope / scale, bias - slope * centre / scale)


def fit_temperature(label: ArrayLike, logit: ArrayLike, weight: ArrayLike | None = None) -> Scaling | None:
    """Maximum-likelihood temperature scaling (slope only); None if only one class is present."""
    if not _both(label):
        return None
    x, target, weight = _fit_columns(label, logit, weight)
    scale = float(np.sqrt(np.mean(x**2))) or 1.0
    (slope,) = _newton(np.array([1.0]), (x / scale)[:, None], target, weight)
    return Scaling("temperature", slope / scale, 0.0)


def logistic(x: ArrayLike) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    x = np.asarray(x, np.float64)
    small = np.exp(-np.abs(x))
    p: NDArray[np.float64] = np.where(x >= 0, 1 / (1 + small), small / (1 + small))
    return p


def _fit_columns(
    label: ArrayLike, logit: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    is_lens = np.asarray(label).astype(bool)
    weights = np.ones(len(is_lens)) if weight is None else np.asarray(weight, np.float64)
    lenses, negatives, one = weights[is_lens].sum(), weights[~is_lens].sum(), weights[is_lens].mean()
    target = np.where(is_lens, (lenses + one) / (lenses + 2 * one), one / (negatives + 2 * one))
    return np.asarray(logit, np.float64), target, weights


def _newton(
    theta: NDArray[np.float64],
    design: NDArray[np.float64],
    target: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> list[float]:
    """Minimise the weighted cross-entropy, convex in theta, by Newton's method with step halving."""

    def loss(theta: NDArray[np.float64]) -> float:
        eta = design @ theta
        return float((weight * (np.logaddexp(0, eta) - target * eta)).sum())

    current = loss(theta)
    for _ in range(100):
        p = logistic(design @ theta)
        gradient = design.T @ (weight * (p - target))
        hessian = design.T @ (design * (weight * p * (1 - p))[:, None])
        step = np.linalg.solve(hessian + 1e-12 * np.trace(hessian) * np.eye(len(theta)), gradient)
        while (after := loss(theta - step)) > current and np.abs(step).max() > 1e-14:
            step = step / 2
        theta, before, current = theta - step, current, min(after, current)
        if before - current <= 1e-14 * abs(before) and np.abs(step).max() < 1e-9:
            break
    return [float(value) for value in theta]


def _both(label: ArrayLike) -> bool:
    is_lens = np.asarray(label).astype(bool)
    return bool(is_lens.any() and not is_lens.all())
