"""The order in which candidates are followed up: by score within bands of p_det, the bands in turn.

Candidates ranked by score alone are those that the finder finds well, and what is learnt from them is learnt of these.
Weights of 1/p_det would rest on the few of the smallest p_det. Bands give slots to each kind, and stay few enough that
their p_det may be corrected for afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EDGES = (0.1, 0.5, 0.9)
BANDS = ("below 0.1", "0.1 to 0.5", "0.5 to 0.9", "0.9 and above")
"""Bands of p_det."""


def band_of(p: Floats) -> NDArray[np.int64]:
    """Number of the band of each p_det, -1 where it is NaN: (N,)."""
    return np.where(np.isnan(p), -1, np.searchsorted(EDGES, p, "right"))


def follow_up(p: Floats, score: Floats) -> NDArray[np.int64]:
    """Place of each candidate in the order of follow-up, from 1: (N,) int; 0 where p_det or score is NaN.

    The first of each band comes first, the band of the lowest p_det leading, then the second of each, and so on; within
    a band by descending score, equal scores in the order of the rows.
    """
    band = np.where(np.isnan(score), -1, band_of(p))
    turn = np.zeros(len(p), np.int64)
    for number in range(len(BANDS)):
        mine = np.flatnonzero(band == number)
        turn[mine[np.argsort(-score[mine], kind="stable")]] = np.arange(len(mine))
    ranked = np.flatnonzero(band >= 0)
    order = ranked[np.lexsort((band[ranked], turn[ranked]))]
    place = np.zeros(len(p), np.int64)
    place[order] = np.arange(1, len(order) + 1)
    return place
