"""Cubic B-splines with a penalty on their second differences (Eilers & Marx 1996, Statistical Science 11, 89)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DEGREE = 3


def count_of(count: int) -> int:
    """Number of cubic B-splines on so many knots."""
    return count + DEGREE - 1


def basis(values: Floats, knots: Floats) -> Floats:
    """All cubic B-splines at some values: (N,) and (K,) knots to (N, K + 2).

    They add up to 1. Beyond the first and last knot they are what they are there.
    """
    from scipy.interpolate import BSpline

    inside = np.clip(np.asarray(values, np.float64), knots[0], knots[-1])
    return np.asarray(BSpline.design_matrix(inside, clamped(knots), DEGREE).toarray())


def clamped(knots: Floats) -> Floats:
    """Knots with the first and the last repeated, as cubic splines that end there need them."""
    return np.concatenate([np.repeat(knots[0], DEGREE), knots, np.repeat(knots[-1], DEGREE)])


def tensor(rows: Floats, columns: Floats) -> Floats:
    """Products of every function of one basis with every one of another: (N, A) and (N, B) to (N, A B)."""
    return np.asarray((rows[:, :, None] * columns[:, None, :]).reshape(len(rows), -1))


def roughness(knots: Floats) -> Floats:
    """Penalty matrix of a basis: squared second differences of the coefficients, (K + 2, K + 2).

    Differences are divided by the distances of the functions' centres (Greville abscissae), which are closer at the
    ends: a straight line costs nothing (Li & Cao 2022, arXiv:2201.06808).
    """
    padded = clamped(knots)
    count = count_of(len(knots))
    centres = np.array([padded[i + 1 : i + 1 + DEGREE].mean() for i in range(count)])
    centres = (centres - centres[0]) / (centres[-1] - centres[0]) * (count - 1)
    first = np.diff(np.eye(count), axis=0) / np.diff(centres)[:, None]
    middles = (centres[:-1] + centres[1:]) / 2
    second = np.diff(first, axis=0) / np.diff(middles)[:, None]
    return np.asarray(second.T @ second)


def tensor_roughness(rows: Floats, columns: Floats) -> Floats:
    """Penalty of the products of two bases, from the penalty of each: roughness along both."""
    eye_a, eye_b = np.eye(len(rows)), np.eye(len(columns))
    return np.asarray(np.kron(rows, eye_b) + np.kron(eye_a, columns))
