"""What a perfectly calibrated model would show as calibration error: the floor below an ECE.

An ECE is a sum of absolute values, and so never zero: lenses fall into bins by chance. Labels drawn from the stated
probabilities say how large it is of a model whose every p is right; only what lies above that is miscalibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats.calibration import BINS, bin_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

ROUNDS = 400
KINDS = ("equal_width", "equal_mass", "positive")


@dataclass(frozen=True)
class Floor:
    """Median and 95th percentile of the error that a calibrated model with these p would show."""

    median: float
    p95: float


def floors(
    p: ArrayLike, weight: ArrayLike | None, label: ArrayLike, seed: int, rounds: int = ROUNDS
) -> dict[str, Floor]:
    """The floor of each calibration error: equal_width, equal_mass and positive.

    Without weights each row is drawn to be a lens with its p. A weighted row stands for `weight` galaxies, of which
    weight x p are lenses, and lenses were sampled at another rate than the others: the numbers of both that a sample
    would hold are drawn from Poisson distributions. Does not depend on the order of the rows.

    Parameters
    ----------
    p : (N,)
        Stated probabilities.
    weight : (N,), optional
        Number of galaxies that each row represents.
    label : (N,)
        1 for a lens; only for the mean weights of the two classes.
    """
    stated, is_lens = np.asarray(p, np.float64), np.asarray(label).astype(bool)
    weights = None if weight is None else np.asarray(weight, np.float64)
    order = np.argsort(stated) if weights is None else np.lexsort((is_lens, weights, stated))
    stated, is_lens = stated[order], is_lens[order]
    weights = None if weights is None else weights[order]
    random = np.random.default_rng([seed, len(stated)])
    bins = [bin_of(stated, BINS, by) for by in ("width", "mass")]
    drawn = np.empty((rounds, len(KINDS)))
    for number in range(rounds):
        lens, other = _drawn(random, stated, is_lens, weights)
        width, mass = (_errors(which, lens, other, stated) for which in bins)
        drawn[number] = width[0], mass[0], width[1]
    found = np.nanquantile(drawn, [0.5, 0.95], axis=0) if np.isfinite(drawn).any() else np.zeros((2, len(KINDS)))
    return {kind: Floor(float(found[0, k]), float(found[1, k])) for k, kind in enumerate(KINDS)}


def _drawn(
    random: np.random.Generator, p: Floats, is_lens: NDArray[np.bool_], weight: Floats | None
) -> tuple[Floats, Floats]:
    """Weight of the lenses and of the others that each row stands for in one round."""
    if weight is None:
        hit = random.random(len(p)) < p
        return hit.astype(np.float64), (~hit).astype(np.float64)
    of_lens, of_other = weight[is_lens].mean(), weight[~is_lens].mean()
    own = np.where(is_lens, of_other, weight)
    return of_lens * random.poisson(weight * p / of_lens), own * random.poisson(weight * (1 - p) / own)


def _errors(which: NDArray[np.int64], lens: Floats, other: Floats, p: Floats) -> tuple[float, float]:
    """Calibration error of one round, averaged over rows and over lenses; NaN where there is no lens."""
    lenses, total = np.bincount(which, lens, BINS), np.bincount(which, lens + other, BINS)
    gap = np.abs(np.bincount(which, (lens + other) * p, BINS) - lenses)
    if not lenses.sum():
        return np.nan, np.nan
    return gap.sum() / total.sum(), float((lenses * gap / np.where(total > 0, total, 1.0)).sum() / lenses.sum())
