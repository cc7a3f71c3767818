"""Weights that make one sample resemble another: the odds of a logistic regression between the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CLIP_PERCENTILE = 99.0


def matching_weight(values: Floats, target: Floats) -> Floats:
    """Weight of each row of a sample with which it has the distribution of another.

    The density ratio of the two is the odds of a logistic regression that tells them apart (Bickel, Brückner & Scheffer
    2009, JMLR 10, 2137), here on the values, their squares and products: exact for two normal distributions. Odds above
    their 99th percentile are set to it, so that few rows do not carry the sum. Single-threaded, so that weights are the
    same on every machine; they depend on the order of neither sample, but for rounding.

    Parameters
    ----------
    values : (N, F) float64
        Finite.
    target : (M, F) float64
        Finite; the sample to be resembled.

    Returns
    -------
    (N,) float64
        Mean 1.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import PolynomialFeatures
    from threadpoolctl import threadpool_limits

    centre, scatter = values.mean(axis=0), values.std(axis=0)
    both = (np.concatenate([values, target]) - centre) / np.where(scatter > 0, scatter, 1.0)
    is_target = np.arange(len(both)) >= len(values)
    with threadpool_limits(limits=1):
        terms = PolynomialFeatures(2, include_bias=False).fit_transform(both)
        model = LogisticRegression(class_weight="balanced", max_iter=2000).fit(terms, is_target)
        logit = model.decision_function(terms[: len(values)])
    odds = np.exp(logit - logit.max())
    odds = np.minimum(odds, np.percentile(odds, CLIP_PERCENTILE))
    return np.asarray(odds / odds.mean())
