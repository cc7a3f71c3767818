"""Calibration: fitted on validation, evaluated on test, with intervals from a bootstrap over HEALPix pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate.scored import Scored
from lensctl.stats import calibration
from lensctl.stats.calibration import BINS, By, Scaling
from lensctl.stats.intervals import Estimate, Resampling, percentile_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = ("platt", "temperature")
BIN_KINDS: tuple[By, ...] = ("width", "mass")


def fit(part: Scored, kind: str, weight: NDArray[np.float64] | None = None) -> Scaling | None:
    """Fit a scaling of the logit; None if the rows are of one class."""
    fitter = calibration.fit_platt if kind == "platt" else calibration.fit_temperature
    return fitter(part.is_lens, part.logit, weight)


def errors(
    part: Scored, p: NDArray[np.float64], rounds: int, seed: int, weight: NDArray[np.float64] | None = None
) -> dict[str, Estimate]:
    """Calibration errors of stated probabilities: equal_width, equal_mass and positive.

    Parameters
    ----------
    p : (N,)
        Stated probability of each row.
    weight : (N,), optional
        Number of galaxies that each row represents.
    """
    label = part.is_lens
    lenses = int(label.sum())
    n, events = len(part), min(lenses, len(part) - lenses)
    if not events:
        return dict.fromkeys(("equal_width", "equal_mass", "positive"), Estimate(None, n=n))
    weights = np.ones(n) if weight is None else weight
    columns = [_one_hot(calibration.bin_of(p, BINS, by), weights, label, p) for by in ("width", "mass")]
    total = Resampling(part.pixel, rounds, seed).sums(np.concatenate(columns, axis=1))
    width, mass = (total[:, k * 3 * BINS : (k + 1) * 3 * BINS].reshape(-1, 3, BINS) for k in range(2))
    values = {
        "equal_width": (calibration.ece(label, p, weights), _error(width, 0)),
        "equal_mass": (calibration.ece(label, p, weights, by="mass"), _error(mass, 0)),
        "positive": (calibration.ece_positive(label, p, weights), _error(width, 1)),
    }
    return {name: _estimate(value, samples, n, events) for name, (value, samples) in values.items()}


def _one_hot(
    which: NDArray[np.int64], weight: NDArray[np.float64], label: NDArray[np.bool_], p: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 3 * BINS): weight, lens weight and weight times p of each row, in the columns of its bin."""
    columns = np.zeros((len(which), 3, BINS))
    rows = np.arange(len(which))
    columns[rows, 0, which], columns[rows, 1, which], columns[rows, 2, which] = weight, weight * label, weight * p
    return columns.reshape(len(which), 3 * BINS)


def _error(total: NDArray[np.float64], by: int) -> NDArray[np.float64]:
    """Calibration error of each round from (rounds, 3, BINS) sums, averaged over rows (0) or lenses (1)."""
    weight, lenses, stated = total[:, 0], total[:, 1], total[:, 2]
    gap = np.abs(stated - lenses) / np.where(weight > 0, weight, 1.0)
    share = total[:, by]
    norm = share.sum(axis=1)
    defined = (lenses.sum(axis=1) > 0) & (norm > 0)
    return np.where(defined, (share * gap).sum(axis=1) / np.where(norm > 0, norm, 1.0), np.nan)


def _estimate(value: float | None, samples: NDArray[np.float64], n: int, events: int) -> Estimate:
    """The error with the central 95% of its rounds, widened to include the value, because noise biases an ECE high."""
    low, high = percentile_interval(samples)
    if value is not None and low is not None and high is not None:
        low, high = min(low, value), max(high, value)
    return Estimate(value, low, high, n, events)


def as_dict(found: dict[str, Estimate]) -> dict[str, Any]:
    """Plain JSON values."""
    return {name: estimate.as_dict() for name, estimate in found.items()}


def diagram(part: Scored, p: NDArray[np.float64], by: By, of: str) -> list[dict[str, Any]]:
    """Rows of the reliability diagram."""
    bins = calibration.reliability(part.is_lens, p, by=by)
    names = ("low", "high", "n", "lenses", "mean_p", "observed")
    return [
        {"of": of, "bins": f"equal {by}", **{name: getattr(bins, name)[k].item() for name in names}}
        for k in range(len(bins.n))
    ]
