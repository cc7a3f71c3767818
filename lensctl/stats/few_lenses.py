"""AUC where lenses are few: the score interval of the Mann-Whitney statistic.

DeLong's variance is estimated from the same twenty lenses as the AUC; where none of the hard ones is among them, both
are flattered, and of twenty intervals three miss, all on the bright side. A score interval asks of each AUC whether it
could have given what was seen, with the variance that it would have itself (Hanley & McNeil 1982, Radiology 143, 29; as
Newcombe 2006, Statistics in Medicine 25, 559, does for few rows). Where the rows scatter more than that, within classes
or because neighbours on the sky are alike, the variance is scaled to theirs, and Student's t of the lenses' pixels is
used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats.intervals import LEVEL, Estimate, placements

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FEW_LENSES, FEW_LENS_PIXELS = 50, 20
"""Below either of them DeLong's interval and the bootstrap's are too short."""

SCORE = "score interval of the Mann-Whitney statistic"


def are_few(label: ArrayLike, pixel: ArrayLike) -> bool:
    """Whether lenses, or the pixels that they lie in, are too few for DeLong's interval."""
    is_lens = np.asarray(label).astype(bool)
    return int(is_lens.sum()) < FEW_LENSES or len(np.unique(np.asarray(pixel)[is_lens])) < FEW_LENS_PIXELS


def auc_of_few(label: ArrayLike, score: ArrayLike, pixel: ArrayLike, level: float = LEVEL) -> Estimate:
    """AUC with the score interval; no value of one class, no interval of lenses in one pixel.

    Parameters
    ----------
    label : (N,), 1 for a lens
    score : (N,), higher is more lens-like
    pixel : (N,) int
        HEALPix pixel of each row.
    """
    from scipy.special import stdtrit

    is_lens, scores = np.asarray(label).astype(bool), np.asarray(score, np.float64)
    lenses, others = int(is_lens.sum()), int((~is_lens).sum())
    n, events = len(scores), min(lenses, others)
    if not events:
        return Estimate(None, n=n, why="no lenses" if not lenses else "no non-lenses")
    auc, per_lens, per_other = placements(scores[is_lens], scores[~is_lens])
    pixels = len(np.unique(np.asarray(pixel)[is_lens]))
    if pixels < 2:
        return Estimate(auc, None, None, n, events, why="no interval: all lenses lie in one HEALPix pixel")
    influence = np.empty(n)
    influence[is_lens], influence[~is_lens] = (per_lens - auc) / lenses, (per_other - auc) / others
    _, cluster = np.unique(np.asarray(pixel), return_inverse=True)
    sums = np.bincount(cluster, influence)
    seen = max(float((sums**2).sum()) * len(sums) / (len(sums) - 1), float((influence**2).sum()))
    own = variance(auc, lenses, others)
    wider = max(1.0, seen / own) if own else 1.0
    reach = float(stdtrit(pixels - 1, (1 + level) / 2)) ** 2 * wider

    def excluded(value: float) -> bool:
        return (auc - value) ** 2 > reach * variance(value, lenses, others)

    return Estimate(auc, _edge(auc, 0.0, excluded), _edge(auc, 1.0, excluded), n, events, SCORE)


def variance(auc: float, lenses: int, others: int) -> float:
    """Variance of an estimated AUC where the true one is `auc` (Hanley & McNeil 1982); that of 1 - auc if larger."""

    def spread(auc: float) -> float:
        two_lenses, two_others = auc / (2 - auc), 2 * auc**2 / (1 + auc)
        return auc * (1 - auc) + (lenses - 1) * (two_lenses - auc**2) + (others - 1) * (two_others - auc**2)

    return max(spread(auc), spread(1 - auc), 0.0) / (lenses * others)


def _edge(inside: float, outside: float, excluded: Callable[[float], bool]) -> float:
    """Where values between the two begin to be excluded, by bisection; `outside` if none is."""
    if inside == outside:
        return outside
    while abs(outside - inside) > 1e-12 and not math.isclose(outside, inside, rel_tol=1e-13):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if excluded(middle) else (middle, outside)
    return outside
