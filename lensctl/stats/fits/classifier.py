"""A small classifier, cross-validated over HEALPix pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

NAME = "HistGradientBoostingClassifier"
LEVELS = 64


def out_of_fold(
    values: Floats, is_lens: Bools, weight: Floats, pixel: Ints, *, folds: int, seed: int
) -> tuple[Floats, Ints]:
    """Score each row by a classifier fitted without the row's HEALPix pixel.

    scikit-learn's HistGradientBoostingClassifier, 60 trees of depth 3, with GroupKFold over pixels; both classes have
    equal total weight in training. Single-threaded, so that results are the same on every machine.

    Parameters
    ----------
    values : (N, F) float64
        NaN is treated as a separate value.
    is_lens : (N,) bool
    weight : (N,) float64
        Relative weight within a class.
    pixel : (N,) int
    folds : int
        Maximum number; fewer if there are fewer pixels.

    Returns
    -------
    score : (N,) float64
        NaN where the training part lacks a class; 0, which tells nothing, where it has no value of any feature.
    fold : (N,) int
        Fold of each row; different folds have different classifiers.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold
    from threadpoolctl import threadpool_limits

    score, fold = np.full(len(values), np.nan), np.zeros(len(values), np.int64)
    parts = min(folds, len(np.unique(pixel)))
    if parts < 2:
        return score, fold
    levels = np.stack([_levels(column) for column in values.T], axis=1)
    with threadpool_limits(limits=1):
        for number, (train, test) in enumerate(GroupKFold(parts).split(values, is_lens, pixel)):
            fold[test] = number
            share = weight[train].copy()
            sums = [share[is_lens[train] == lens].sum() for lens in (True, False)]
            if min(sums) <= 0:
                continue
            known = ~np.isnan(levels[train]).all(axis=0)  # scikit-learn cannot bin a feature without a value
            if not known.any():
                score[test] = 0.0
                continue
            share *= np.where(is_lens[train], 0.5 / sums[0], 0.5 / sums[1]) * len(train)
            model = HistGradientBoostingClassifier(
                max_iter=60, max_depth=3, min_samples_leaf=20, max_bins=LEVELS, early_stopping=False, random_state=seed
            )
            model.fit(levels[np.ix_(train, known)], is_lens[train], sample_weight=share)
            score[test] = model.decision_function(levels[np.ix_(test, known)])
    return score, fold


def _levels(column: Floats) -> Floats:
    """Quantile bin (of 64) of each value; equal values share a bin, NaN stays.

    The classifier bins its input anyway, but a hundred times slower for weighted rows.
    """
    ordered = np.sort(column[~np.isnan(column)])
    steps = np.searchsorted(ordered, column, side="left") * LEVELS // max(len(ordered), 1)
    return np.where(np.isnan(column), np.nan, steps).astype(float)
