"""A mean of rows that are alike within HEALPix pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats.intervals import LEVEL, Estimate, student_interval
from lensctl.stats.shares import MIN_PIXELS, too_few_pixels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

STUDENT = "Student's t over HEALPix pixels"


def mean_by_pixel(values: ArrayLike, pixel: ArrayLike, level: float = LEVEL) -> Estimate:
    """The mean with Student's interval of the scatter between pixels; no value without rows.

    Parameters
    ----------
    values : (N,) float64
        Such as differences of pairs.
    pixel : (N,) int
        HEALPix pixel of each row.
    """
    rows = np.asarray(values, np.float64)
    if not len(rows):
        return Estimate(None, why="no rows")
    mean = float(rows.mean())
    pixels = len(np.unique(np.asarray(pixel)))
    if pixels < MIN_PIXELS:
        return Estimate(mean, None, None, len(rows), why=too_few_pixels(pixels))
    low, high = student_interval(mean, error_of_mean(rows - mean, pixel), pixels, level)
    return Estimate(mean, low, high, len(rows), interval=STUDENT)


def error_of_mean(residuals: ArrayLike, pixel: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Standard error of the mean of rows whose residuals from it are given, those of a pixel being alike.

    Parameters
    ----------
    residuals : (N,) float64
    pixel : (N,) int
    weight : (N,) float64, optional
        Of each row in the mean; default 1.
    """
    values = np.asarray(residuals, np.float64)
    shares = np.ones(len(values)) if weight is None else np.asarray(weight, np.float64)
    _, place = np.unique(np.asarray(pixel), return_inverse=True)
    sums = np.bincount(place, shares * values)
    clusters = len(sums)
    return math.sqrt(float((sums**2).sum()) * clusters / max(clusters - 1, 1)) / float(shares.sum())
