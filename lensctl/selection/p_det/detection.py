"""The probability that a frozen model detects a lens, fitted to injections, with intervals and support."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.rules.config import as_written
from lensctl.rules.errors import InputError
from lensctl.selection.p_det.axes import Axis, transformed
from lensctl.selection.p_det.functions import Functions, functions_of
from lensctl.selection.p_det.standalone import decoded
from lensctl.selection.p_det.support import Support, support_of
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

    def share_errors(self, values: Mapping[str, Floats], weight: Floats, place: NDArray[np.int64]) -> Floats:
        """Half width of the 95 % interval that errors of p_det give the share of found lenses in each bin: (bins,).

        Parameters
        ----------
        values : mapping of (N,) float64
            Axes in natural units.
        weight : (N,) float64
        place : (N,) int
            Bin of each row, from 0.
        """
        rows = transformed(self.axes, values)
        bins = int(place.max(initial=-1)) + 1
        found, slope = np.zeros(bins), np.zeros((len(self.coefficients), bins))
        for block in _blocks(len(rows)):
            p, by = self._slopes(rows[block])
            mine = place[block, None] == np.arange(bins)
            found += (weight[block] * p) @ mine
            slope += by.T @ (mine * (weight[block] * p * (1 - p))[:, None])
        whole = found.sum()
        slope = (slope - slope.sum(axis=1, keepdims=True) * (found / whole)) / whole
        variance = np.einsum("ib,ij,jb->b", slope, self.covariance, slope)
        return np.asarray(self.reach * np.sqrt(np.maximum(variance, 0.0)))

    def _slopes(self, rows: Floats) -> tuple[Floats, Floats]:
        return regression.slopes(self.functions.matrix(rows), self.coefficients)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, arrays as base64: what `of_dict` and evaluate.py take."""
        support = {name: encoded(value) for name, value in vars(self.support).items() if name != "reach"}
        return {
            "axes": [vars(axis) for axis in self.axes],
            "fine": list(self.functions.fine),
            "pairs": [list(pair) for pair in self.functions.pairs],
            "knots": [encoded(knots) for knots in self.functions.knots],
            "coefficients": encoded(self.coefficients),
            "covariance": encoded(self.covariance),
            "ceiling_mean": regression.CEILING,
            "reach": self.reach,
            "support": {**support, "reach": self.support.reach},
            "facts": dict(self.facts),
        }


def encoded(values: NDArray[Any]) -> dict[str, Any]:
    """An array as its type, shape and base64, little-endian; the inverse of `standalone.decoded`."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    text = base64.b64encode(little.tobytes()).decode("ascii")
    return {"dtype": little.dtype.str, "shape": list(little.shape), "base64": text}


def of_dict(values: Mapping[str, Any], where: str) -> Detection:
    """A detection from what `as_dict` gave; InputError if it is not that."""
    with as_written(where, "make the folder again with `lensctl selection fit`"):
        given = decoded(dict(values))
        axes = tuple(Axis(**axis) for axis in given["axes"])
        knots = tuple(np.asarray(each, np.float64) for each in given["knots"])
        pairs = tuple((int(a), int(b)) for a, b in given["pairs"])
        functions = Functions(knots, tuple(map(bool, given["fine"])), pairs)
        support = Support(**given["support"])
        coefficients, covariance = given["coefficients"], given["covariance"]
        count, width = functions.matrix(support.least[None, :]).shape[1] + 1, len(axes)
        shapes = [(count,), (count, count), (width,), (width,), (width,), (len(support.points), width)]
        arrays = [coefficients, covariance, support.scale, support.least, support.greatest, support.points]
        if [each.shape for each in arrays] != shapes or len(functions.fine) != width:
            raise ValueError("arrays of other shapes")
        if len(knots) != width or any(len(own) > axis.knots for own, axis in zip(knots, axes, strict=True)):
            raise ValueError("knots of other axes")
        if any((np.diff(own) <= 0).any() for own in knots):
            raise ValueError("knots that do not grow")
        reach = float(given["reach"])
        if not all(np.isfinite(each).all() for each in (*arrays, *knots, reach, support.reach)):
            raise ValueError("values that are no numbers")
        if given["ceiling_mean"] != regression.CEILING or not (support.scale > 0).all():
            raise ValueError("another model")
        return Detection(axes, functions, coefficients, covariance, reach, support, dict(given["facts"]))


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
