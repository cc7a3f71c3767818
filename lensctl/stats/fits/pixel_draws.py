"""Draws of a fit's coefficients: a bootstrap over HEALPix pixels, one step of Newton's method a draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats.fits.penalised_logistic import Fit, gram, slopes
from lensctl.stats.intervals import Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


def pixel_scores(fit: Fit, design: Floats, taken: Bools, pixel: Ints) -> Floats:
    """What each pixel pulls the coefficients by, as a fit without it would feel: (C, K + 1), pixels ascending.

    A fit follows its own rows, so that residuals are too small where pixels are few; those of the fit without the
    pixel are (1 - G)^-1 times as large, G the pixel's block of the hat matrix (Bell & McCaffrey 2002, Survey
    Methodology 28, 169).
    """
    p, by = slopes(design, fit.coefficients)
    scale = np.sqrt(p * (1 - p))
    residual = (taken - p) / scale
    root = np.linalg.cholesky(fit.inverse)
    order = np.argsort(pixel, kind="stable")
    starts = np.flatnonzero(np.diff(pixel[order], prepend=pixel[order][0] - 1))
    scores = np.empty((len(starts), len(fit.coefficients)))
    for number, members in enumerate(np.split(order, starts[1:])):
        block = by[members] * scale[members][:, None]
        scores[number] = block.T @ _left_out(block @ root, residual[members])
    return scores


def _left_out(half: Floats, residual: Floats) -> Floats:
    """(1 - half half')^-1 residual, by the smaller side."""
    if len(half) <= half.shape[1]:
        return np.asarray(np.linalg.solve(np.eye(len(half)) - half @ half.T, residual))
    inner = np.linalg.solve(np.eye(half.shape[1]) - half.T @ half, half.T @ residual)
    return np.asarray(residual + half @ inner)


def draws(fit: Fit, scores: Floats, pixels: Ints, rounds: int, seed: int) -> Floats:
    """Coefficients in each round, (rounds, K + 1): pixels are drawn as everywhere (see `intervals.Resampling`)."""
    total = scores.sum(axis=0)
    return np.asarray(fit.coefficients + (Resampling(pixels, rounds, seed).sums(scores) - total) @ fit.inverse)


def smoothing(fit: Fit, random: np.random.Generator, rounds: int) -> Floats:
    """Errors of the coefficients that the penalty makes, (rounds, K + 1).

    A penalty is what is believed of the coefficients before; by that, the estimate's bias has the covariance
    H^-1 P H^-1, which no bootstrap shows (Nychka 1988, JASA 83, 1134; Wood 2006, Aust. N. Z. J. Stat. 48, 445).
    """
    root = np.linalg.cholesky(fit.penalty)
    return np.asarray(random.normal(size=(rounds, len(root))) @ root.T @ fit.inverse)


def design_effect(fit: Fit, design: Floats, scores: Floats) -> float:
    """Mean variance of p over the rows, over what it would be if rows were independent."""
    p, by = slopes(design, fit.coefficients)
    spread = gram(by, (p * (1 - p)) ** 2)
    clustered = fit.inverse @ (scores.T @ scores) @ fit.inverse
    alone = fit.inverse @ fit.information @ fit.inverse
    return float((spread * clustered).sum() / (spread * alone).sum())
