"""P-values of paired differences, and what is left of them where many are looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979): below a level, hold together at that level."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def p_of_difference(value: float, samples: NDArray[np.float64], pixels: int) -> float:
    """Two-sided p-value of a paired difference from its bootstrap over pixels: the larger of two.

    One counts the rounds beyond zero; the other is Student's t of the pixels, because few pixels scatter less in the
    bootstrap than on the sky.
    """
    from scipy.special import stdtr

    defined = samples[np.isfinite(samples)]
    if len(defined) < 2 or pixels < 2:
        return 1.0
    counted = min((defined <= 0).mean(), (defined >= 0).mean())
    scatter = float(defined.std(ddof=1)) * math.sqrt(pixels / (pixels - 1))
    by_t = 2 * float(stdtr(pixels - 1, -abs(value) / scatter)) if scatter else float(value == 0)
    return min(1.0, max(2 * float(counted), by_t))


def p_of_changes(gained: int, lost: int) -> float:
    """Two-sided p-value that rows which two models judge differently fall equally to both sides (McNemar, exact)."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def p_of_normal(value: float, half: float, level: float) -> float:
    """Two-sided p-value of a normally distributed value whose interval at a level reaches `half` to each side."""
    from scipy.special import ndtr, ndtri

    return 2 * float(ndtr(-abs(value) / half * ndtri((1 + level) / 2))) if half else float(value == 0)
