"""Logistic regression with a ceiling and a quadratic penalty: p = c / (1 + exp(-eta)).

A finder misses a share of even the clearest lenses, for reasons that are no axis. Without a ceiling, what saturates
below 1 along one axis pulls every other axis flat: of a truth that ends at 0.9, p was off by 0.026 on average, and with
it by 0.011 (`tests/selection/test_detection_truth.py`). Where p comes near no ceiling, its prior says what it is, and
p hardly depends on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

FOLDS = 5
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Strengths of a penalty that are tried. By the greatest, second differences of 0.3 logit are still to be expected:
rows seldom tell that an effect is straight, and intervals that took it for certain held the truth too seldom."""

RIDGE = 1e-3
"""Penalty of the square of each coefficient, so that those have one value which the functions leave free."""

CEILING, CEILING_SCATTER = 4.0, 2.0
"""Mean and standard deviation of the ceiling's logit before anything is seen: a median of 0.982, and 95 % in
0.52 to 0.9996."""

MOST_STEPS, DECREMENT = 100, 1e-8
ROUNDS = 4
MOST_ETA = 30.0
"""Greatest |eta|, so that no probability is 0 or 1 to the last bit."""


@dataclass(frozen=True)
class Fit:
    """A penalised fit of K functions and a ceiling.

    Attributes
    ----------
    coefficients : (K + 1,) float64
        The last is the ceiling's logit less CEILING.
    information : (K + 1, K + 1) float64
        Fisher's.
    penalty : (K + 1, K + 1) float64
        The Hessian is their sum.
    """

    coefficients: Floats
    information: Floats
    penalty: Floats

    @cached_property
    def inverse(self) -> Floats:
        """Of the Hessian."""
        return np.asarray(np.linalg.inv(self.information + self.penalty))

    @property
    def effective_count(self) -> float:
        """Effective number of coefficients, the trace of H^-1 I."""
        return float(np.trace(self.inverse @ self.information))


def logistic(eta: Floats) -> Floats:
    """1 / (1 + exp(-eta))."""
    from scipy.special import expit

    return np.asarray(expit(eta))


def probability(design: Floats, coefficients: Floats) -> Floats:
    """p of rows: (N, K) and (K + 1,) to (N,)."""
    return ceiling_of(coefficients) * logistic(np.clip(design @ coefficients[:-1], -MOST_ETA, MOST_ETA))


def ceiling_of(coefficients: Floats) -> float:
    """The ceiling c."""
    return float(logistic(coefficients[-1] + CEILING))


def slopes(design: Floats, coefficients: Floats) -> tuple[Floats, Floats]:
    """p of rows, and the derivative of its logit by each coefficient: (N,) and (N, K + 1)."""
    p, by_eta, by_ceiling = _parts(design, coefficients)
    by = np.empty((len(design), len(coefficients)))
    np.multiply(design, by_eta[:, None], out=by[:, :-1])
    by[:, -1] = by_ceiling
    return p, by


def _parts(design: Floats, coefficients: Floats) -> tuple[Floats, Floats, Floats]:
    """p of rows, and the derivatives of its logit by eta and by the ceiling's logit: (N,) each."""
    eta = np.clip(design @ coefficients[:-1], -MOST_ETA, MOST_ETA)
    found, missed = logistic(eta), logistic(-eta)
    above = float(logistic(-(coefficients[-1] + CEILING)))
    beyond = missed + found * above  # 1 - p, without a difference
    return ceiling_of(coefficients) * found, missed / beyond, above / beyond


def curvature(design: Floats, taken: Bools, coefficients: Floats) -> Floats:
    """Minus the second derivatives of the log likelihood, (K + 1, K + 1): the information as observed."""
    p, by_eta, by_ceiling = _parts(design, coefficients)
    ceiling, both = ceiling_of(coefficients), (taken - p) * by_eta * by_ceiling
    spread = p * (1 - p)
    found = np.empty((len(coefficients), len(coefficients)))
    found[:-1, :-1] = design.T @ (design * (spread * by_eta**2 + both * p / ceiling)[:, None])
    found[-1, :-1] = found[:-1, -1] = design.T @ (spread * by_eta * by_ceiling - both * p)
    found[-1, -1] = (spread * by_ceiling**2 + both * ceiling).sum()
    return found


def fit(design: Floats, taken: Bools, penalty: Floats, start: Floats | None = None) -> Fit:
    """The coefficients of the greatest penalised likelihood, by Newton's method with halved steps.

    Parameters
    ----------
    design : (N, K) float64
    taken : (N,) bool
    penalty : (K + 1, K + 1) float64
        The log likelihood loses half of beta' penalty beta.
    start : (K + 1,) float64, optional

    Raises
    ------
    ArithmeticError
        It does not converge.
    """
    beta = np.zeros(design.shape[1] + 1) if start is None else start
    cost = _cost(design, taken, penalty, beta)
    for _ in range(MOST_STEPS):
        p, by = slopes(design, beta)
        information, slope = gram(by, p * (1 - p)), by.T @ (taken - p) - penalty @ beta
        newton = _step(curvature(design, taken, beta) + penalty, slope)  # none in a hollow
        step = np.linalg.solve(information + penalty, slope) if newton is None else newton
        if slope @ step < DECREMENT:
            return Fit(beta, information, penalty)
        for halvings in range(30):
            moved = beta + step / 2**halvings
            paid = _cost(design, taken, penalty, moved)
            if paid < cost:
                break
        else:
            return Fit(beta, information, penalty)  # no step gains anything to the last bit
        beta, cost = moved, paid
    raise ArithmeticError(f"the fit does not converge in {MOST_STEPS} steps")


def _step(hessian: Floats, slope: Floats) -> Floats | None:
    """Newton's step; none where the Hessian is not positive definite."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        return np.asarray(cho_solve(cho_factor(hessian), slope))
    except LinAlgError:
        return None


def _cost(design: Floats, taken: Bools, penalty: Floats, beta: Floats) -> float:
    return len(taken) * log_loss(probability(design, beta), taken) + float(beta @ penalty @ beta) / 2


def log_loss(p: Floats, taken: Bools) -> float:
    """Mean of -log of the probability of what was seen."""
    return float(-np.log(np.where(taken, p, 1 - p)).mean())


def gram(by: Floats, weight: Floats) -> Floats:
    """X' W X of rows X: (N, K) to (K, K)."""
    from scipy.linalg.blas import dsyrk

    upper = dsyrk(1.0, (by * np.sqrt(weight)[:, None]).T)
    return np.asarray(np.triu(upper) + np.triu(upper, 1).T)


def folds_of(pixel: Ints, count: int = FOLDS) -> Ints:
    """Fold of each row: whole pixels, the fullest first into the emptiest fold, whatever the order of the rows."""
    pixels, place, rows = np.unique(pixel, return_inverse=True, return_counts=True)
    fold, full = np.empty(len(pixels), np.int64), np.zeros(min(count, len(pixels)), np.int64)
    for at in np.argsort(-rows, kind="stable"):
        fold[at] = full.argmin()
        full[fold[at]] += rows[at]
    return fold[place]


def total_penalty(penalties: Sequence[Floats], strengths: Sequence[float]) -> Floats:
    """Penalties times strengths, the ridge, and the ceiling's prior: of (K, K) to (K + 1, K + 1)."""
    count = len(penalties[0])
    total = np.zeros((count + 1, count + 1))
    total[:count, :count] = RIDGE * np.eye(count) + sum(s * p for s, p in zip(strengths, penalties, strict=True))
    total[count, count] = 1 / CEILING_SCATTER**2
    return total


@dataclass(frozen=True)
class Chosen:
    """Strengths of the penalties, the log loss out of fold of all that were tried at the last fit, and that fit."""

    strengths: tuple[float, ...]
    losses: dict[tuple[float, ...], float]
    fit: Fit


def choose_strengths(
    design: Floats, taken: Bools, penalties: Sequence[Floats], fold: Ints, start: float = 10.0
) -> Chosen:
    """Strengths with the least log loss of folds that were left out, and the fit with them.

    What a fit without a fold would be is one step of Newton's method from the fit to all rows (Rad & Maleki 2020,
    JRSS B 82, 965), so that a combination costs one pass over the rows. The steps begin anew at the strengths found,
    until they stay. All strengths are tried together, and then one at a time.

    Parameters
    ----------
    design : (N, K) float64
    taken : (N,) bool
    penalties : sequence of (K, K) float64
    fold : (N,) int64
        From 0; rows that are left out together.
    """
    parts = [np.flatnonzero(fold == number) for number in range(int(fold.max()) + 1)]
    now = (start,) * len(penalties)
    found = fit(design, taken, total_penalty(penalties, now))
    losses: dict[tuple[float, ...], float] = {}
    for _ in range(ROUNDS):
        left_out = _LeftOut(design, taken, penalties, parts, found.coefficients)
        before, now = now, left_out.best(now)
        losses = left_out.losses
        if now == before:
            break
        found = fit(design, taken, total_penalty(penalties, now), found.coefficients)
    return Chosen(now, losses, found)


class _LeftOut:
    """Losses of folds, each foretold by the others, near some coefficients."""

    def __init__(
        self, design: Floats, taken: Bools, penalties: Sequence[Floats], parts: Sequence[Ints], beta: Floats
    ) -> None:
        self.penalties, self.losses = penalties, dict[tuple[float, ...], float]()
        self.blocks: list[tuple[Floats, Bools]] = []
        self.grams: list[Floats] = []
        self.pulls: list[Floats] = []
        for rows in parts:
            block, seen = design[rows], taken[rows]
            p, by = slopes(block, beta)
            own = gram(by, p * (1 - p))
            self.blocks.append((block, seen))
            self.grams.append(own)
            self.pulls.append(by.T @ (seen - p) + own @ beta)

    def loss(self, strengths: tuple[float, ...]) -> float:
        if strengths not in self.losses:
            hessian = sum(self.grams) + total_penalty(self.penalties, strengths)
            whole, rows, lost = sum(self.pulls), sum(len(seen) for _, seen in self.blocks), 0.0
            for (block, seen), own, pull in zip(self.blocks, self.grams, self.pulls, strict=True):
                beta = np.asarray(np.linalg.solve(hessian - own, whole - pull), np.float64)
                lost += log_loss(probability(block, beta), seen) * len(seen) / rows
            self.losses[strengths] = lost
        return self.losses[strengths]

    def best(self, start: tuple[float, ...]) -> tuple[float, ...]:
        """All strengths together, then one at a time until none gets better."""
        count = len(start)
        best = min((start, *((s,) * count for s in STRENGTHS)), key=self.loss)
        while True:
            tried = itertools.chain([best], *(self._beside(best, at) for at in range(count)))
            better = min(tried, key=self.loss)
            if better == best:
                return best
            best = better

    @staticmethod
    def _beside(strengths: tuple[float, ...], at: int) -> list[tuple[float, ...]]:
        place = STRENGTHS.index(strengths[at])
        near = STRENGTHS[max(place - 1, 0) : place + 2]
        return [(*strengths[:at], s, *strengths[at + 1 :]) for s in near]
