"""The probability that a frozen model detects a lens, fitted to injections, with intervals and support."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.rules.config import as_written
from lensctl.rules.errors import InputError
from lensctl.selection.axes import Axis, transformed
from lensctl.selection.functions import Functions, functions_of
from lensctl.selection.support import Support, support_of
from lensctl.stats.fits import penalised_logistic as regression
from lensctl.stats.fits import pixel_draws
from lensctl.stats.intervals import FEW, LEVEL
from lensctl.stats.shares import MIN_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROUNDS, SEED = 500, 42
BLOCK_ROWS = 20_000


@dataclass(frozen=True)
class Prediction:
    """p_det of rows, its 95 % interval, and whether the row lies in the support of the injections: (N,) each."""

    p: Floats
    low: Floats
    high: Floats
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class Mean:
    """A weighted mean of p_det, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Detection:
    """A fitted p_det.

    Attributes
    ----------
    axes : tuple of Axis
    functions : Functions
    coefficients : (K + 1,) float64
    covariance : (K + 1, K + 1) float64
        Of the draws.
    reach : float
        Half width of an interval of a logit, in standard errors: Student's t of so many pixels.
    support : Support
    facts : mapping
        Plain values: rows, detected, hosts' pixels, strengths of the penalties, log loss out of fold, effective number
        of coefficients, ceiling, design effect.
    """

    axes: tuple[Axis, ...]
    functions: Functions
    coefficients: Floats
    covariance: Floats
    reach: float
    support: Support
    facts: Mapping[str, Any]

    def predict(self, values: Mapping[str, Floats]) -> Prediction:
        """p_det of rows: axes in natural units by name, (N,) each.

        Raises InputError for a missing axis, source_mag, or a value that is no number.
        """
        rows = transformed(self.axes, values)
        p, error = np.empty(len(rows)), np.empty(len(rows))
        for block in _blocks(len(rows)):
            p[block], by = self._slopes(rows[block])
            error[block] = np.sqrt(np.maximum(np.einsum("ij,ij->i", by @ self.covariance, by), 0))
        low, high = _interval(p, error, self.reach)
        return Prediction(p, low, high, self.support.inside(rows))

    def mean(self, values: Mapping[str, Floats], weight: Floats | None = None) -> Mean:
        """The weighted mean of p_det over rows, errors of neighbours being shared; InputError as `predict`."""
        rows = transformed(self.axes, values)
        share = np.ones(len(rows)) if weight is None else np.asarray(weight, np.float64)
        share = share / share.sum()
        value, slope = 0.0, np.zeros(len(self.coefficients))
        for block in _blocks(len(rows)):
            p, by = self._slopes(rows[block])
            value += float(share[block] @ p)
            slope += by.T @ (share[block] * p * (1 - p))
        error = np.sqrt(max(float(slope @ self.covariance @ slope), 0.0)) / max(value * (1 - value), 1e-300)
        low, high = _interval(np.array([value]), np.array([error]), self.reach)
        return Mean(value, float(low[0]), float(high[0]))

    def _slopes(self, rows: Floats) -> tuple[Floats, Floats]:
        return regression.slopes(self.functions.matrix(rows), self.coefficients)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, as `of_arrays` takes them."""
        support = self.support
        knots = {f"knots.{axis.name}": knots for axis, knots in zip(self.axes, self.functions.knots, strict=True)}
        return {
            "coefficients": self.coefficients,
            "covariance": self.covariance,
            **knots,
            **{f"support.{name}": getattr(support, name) for name in ("points", "scale", "least", "greatest")},
        }

    def values(self) -> dict[str, Any]:
        """All else, as plain JSON values."""
        return {
            "axes": [vars(axis) for axis in self.axes],
            "fine": list(self.functions.fine),
            "pairs": [list(pair) for pair in self.functions.pairs],
            "reach": self.reach,
            "support_reach": self.support.reach,
            "facts": dict(self.facts),
        }


def of_arrays(arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any], where: str) -> Detection:
    """A detection from what `arrays` and `values` gave; InputError if they are not that."""
    with as_written(where, "make the folder again with `lensctl selection fit`"):
        axes = tuple(Axis(**axis) for axis in values["axes"])
        knots = tuple(np.asarray(arrays[f"knots.{axis.name}"], np.float64) for axis in axes)
        pairs = tuple((int(a), int(b)) for a, b in values["pairs"])
        functions = Functions(knots, tuple(map(bool, values["fine"])), pairs)
        points, scale, least, greatest = (arrays[f"support.{n}"] for n in ("points", "scale", "least", "greatest"))
        support = Support(points, scale, least, greatest, float(values["support_reach"]))
        coefficients, covariance = arrays["coefficients"], arrays["covariance"]
        count = functions.matrix(support.least[None, :]).shape[1] + 1
        if coefficients.shape != (count,) or covariance.shape != (count, count):
            raise ValueError("other functions")
        return Detection(
            axes, functions, coefficients, covariance, float(values["reach"]), support, dict(values["facts"])
        )


@dataclass(frozen=True)
class Fitted:
    """A detection, and the draws of its coefficients, (rounds, K + 1), whose covariance it has."""

    detection: Detection
    draws: Floats


def refuse_untellable(detected: NDArray[np.bool_], pixel: NDArray[np.int64]) -> None:
    """Raise InputError where too few were detected, or missed, or too few pixels hold them, for a fit."""
    found, pixels = int(detected.sum()), len(np.unique(pixel))
    fewest, what = min((found, "detected"), (len(detected) - found, "missed"))
    if fewest < FEW:
        raise InputError(
            f"{fewest} of {len(detected)} injections were {what}, too few for p_det",
            "inject more, or by a design in which some are found and some are not",
        )
    if pixels < MIN_PIXELS:
        raise InputError(
            f"the hosts lie in {pixels} HEALPix pixels, and fewer than {MIN_PIXELS} do not show their scatter",
            "take hosts from more of the sky",
        )


def fit_detection(
    axes: Sequence[Axis],
    values: Mapping[str, Floats],
    detected: NDArray[np.bool_],
    pixel: NDArray[np.int64],
    *,
    rounds: int = ROUNDS,
    seed: int = SEED,
) -> Fitted:
    """Fit p_det to injections. Single-threaded, so that it is the same on every machine of a kind.

    Parameters
    ----------
    axes : sequence of Axis
    values : mapping of (N,) float64
        In natural units.
    detected : (N,) bool
    pixel : (N,) int64
        HEALPix pixel of each host.
    rounds, seed : int
        Draws, and of what they are a function.

    Raises
    ------
    InputError
        A missing axis; source_mag; no number; too few detected, missed, or pixels.
    """
    from scipy.special import stdtrit
    from threadpoolctl import threadpool_limits

    rows = transformed(axes, values)
    refuse_untellable(detected, pixel)
    functions = functions_of(axes, rows)
    groups = functions.penalties()
    with threadpool_limits(limits=1):
        design = functions.matrix(rows)
        chosen = regression.choose_strengths(design, detected, list(groups.values()), regression.folds_of(pixel))
        found = chosen.fit
        scores = pixel_draws.pixel_scores(found, design, detected, pixel)
        pixels = np.unique(pixel)
        drawn = pixel_draws.draws(found, scores, pixels, rounds, seed)
        effect = pixel_draws.design_effect(found, design, scores)
        drawn += pixel_draws.smoothing(found, generator(seed), rounds)
        covariance = np.cov(drawn.T)
    facts = {
        "rows": len(detected),
        "detected": int(detected.sum()),
        "pixels": len(pixels),
        "coefficients": len(found.coefficients),
        "effective_coefficients": found.effective_count,
        "ceiling": regression.ceiling_of(found.coefficients),
        "strengths": dict(zip(groups, chosen.strengths, strict=True)),
        "log_loss": chosen.losses[chosen.strengths],
        "design_effect": effect,
        "rounds": rounds,
        "seed": seed,
    }
    reach = float(stdtrit(len(pixels) - 1, (1 + LEVEL) / 2))
    kept = Detection(tuple(axes), functions, found.coefficients, covariance, reach, support_of(rows), facts)
    return Fitted(kept, drawn)


def generator(seed: int) -> np.random.Generator:
    """Random numbers of the draws that are no bootstrap."""
    key = hashlib.sha256(f"{seed}:smoothing".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))


def _blocks(count: int) -> list[slice]:
    return [slice(start, start + BLOCK_ROWS) for start in range(0, count, BLOCK_ROWS)]


def _interval(p: Floats, error: Floats, reach: float) -> tuple[Floats, Floats]:
    """Ends of the interval of a probability whose logit has an error."""
    with np.errstate(divide="ignore"):
        middle = np.log(p) - np.log1p(-p)
    return regression.logistic(middle - reach * error), regression.logistic(middle + reach * error)
