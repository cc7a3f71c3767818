"""How much more often one sample has a row's values than another: cross-fitted odds of a spline logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FOLDS, KNOTS = 5, 5
TAIL = 0.005
"""Share of the rows beyond the first and last knot, where splines go on as lines."""

FAR = 3.0
"""Standard deviations to which values are clipped where they are multiplied."""


def density_ratio(sample: Floats, target: Floats, group: NDArray[np.int64]) -> Floats:
    """Weight of each row of a sample with which it stands for a target, by odds that were fitted without the row.

    The density ratio of two samples is the odds of a classifier between them (Bickel, Brückner & Scheffer 2009, JMLR
    10, 2137), here logistic regression on cubic splines of every value and products of every pair. Rows of one group
    are never in both the fit and its use. Nothing is clipped: where the ratio is wild, the effective number says so.
    The same on every machine: single-threaded, and folds by the order of groups.

    Parameters
    ----------
    sample : (N, F) float64
        Finite.
    target : (M, F) float64
        Finite, of equal weight.
    group : (N,) int
        Such as the number of a row's host.

    Returns
    -------
    (N,) float64
        Mean 1.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    both = np.concatenate([sample, target])
    varies = both.std(axis=0) > 0
    terms = _terms(both[:, varies])
    ours, theirs = terms[: len(sample)], terms[len(sample) :]
    _, number = np.unique(group, return_inverse=True)
    fold, of_target = number % FOLDS, np.arange(len(target)) % FOLDS
    logit = np.zeros(len(sample))
    with threadpool_limits(limits=1):
        for k in range(min(FOLDS, int(number.max()) + 1)):
            kept, seen = ours[fold != k], theirs[of_target != k]
            is_target = np.repeat([False, True], [len(kept), len(seen)])
            model = LogisticRegression(class_weight="balanced", max_iter=1000)
            model.fit(np.concatenate([kept, seen]), is_target)
            logit[fold == k] = model.decision_function(ours[fold == k])
    odds = np.exp(logit - logit.max())
    return np.asarray(odds / odds.mean())


def _terms(values: Floats) -> Floats:
    """Splines of each column, and products of each pair of standardised columns."""
    from sklearn.preprocessing import PolynomialFeatures, SplineTransformer

    if not values.shape[1]:
        return np.zeros((len(values), 1))
    low, high = np.quantile(values, [TAIL, 1 - TAIL], axis=0)
    low, high = np.where(low < high, low, values.min(axis=0)), np.where(low < high, high, values.max(axis=0))
    knots = low + np.linspace(0, 1, KNOTS)[:, None] * (high - low)
    splines = SplineTransformer(degree=3, knots=knots, extrapolation="linear", include_bias=False).fit_transform(values)
    scaled = np.clip((values - values.mean(axis=0)) / values.std(axis=0), -FAR, FAR)
    pairs = PolynomialFeatures(2, interaction_only=True, include_bias=False).fit_transform(scaled)
    return np.concatenate([splines, pairs[:, values.shape[1] :]], axis=1)


def evenly(weight: Floats, count: int) -> NDArray[np.int64]:
    """Rows that stand for a weighted table with equal weight: every (sum / count)-th part of it, in order: (count,)."""
    upto = np.cumsum(weight)
    rows = np.searchsorted(upto, (np.arange(count) + 0.5) * (upto[-1] / count), "right")
    return np.asarray(np.minimum(rows, len(weight) - 1), np.int64)
