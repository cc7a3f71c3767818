"""Effective numbers: how many rows of equal weight would say as much as those there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def effective_number(weight: ArrayLike, group: ArrayLike | None = None) -> float:
    """(sum_h V_h)^2 / sum_h V_h^2, with V_h the weight of all rows of group h (Kish 1965); 0 without weight.

    Parameters
    ----------
    weight : (N,) float64
    group : (N,), optional
        Rows of one group count once, such as the injections of one host; by default each row is its own.
    """
    values = np.asarray(weight, np.float64)
    if group is not None:
        _, place = np.unique(np.asarray(group), return_inverse=True)
        values = np.bincount(place, values).astype(np.float64)
    squares = float((values**2).sum())
    return float(values.sum() ** 2 / squares) if squares > 0 else 0.0
