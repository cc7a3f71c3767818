"""Calibration: fitted on validation, evaluated on test, as the excess over what a calibrated model would show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate.scored import Scored
from lensctl.stats import calibration
from lensctl.stats.calibration import BINS, By, Scaling
from lensctl.stats.calibration_floor import KINDS as KINDS_OF_ERROR
from lensctl.stats.calibration_floor import Floor, floors
from lensctl.stats.intervals import Estimate, Resampling, percentile_interval
from lensctl.stats.shares import share_of_rows, too_few_pixels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

KINDS = ("platt", "temperature")
BIN_KINDS: tuple[By, ...] = ("width", "mass")
NOTHING = Estimate(None, why="one class only")
EXCESS = "basic bootstrap over pixels, from zero unless a test excludes it"


def fit(label: ArrayLike, logit: ArrayLike, kind: str, weight: ArrayLike | None = None) -> Scaling | None:
    """Fit a scaling of one of KINDS to the logits; None if the rows are of one class."""
    fitter = calibration.fit_platt if kind == "platt" else calibration.fit_temperature
    return fitter(label, logit, weight)


@dataclass(frozen=True)
class CalibrationError:
    """A calibration error, the floor that a calibrated model would show, and the excess over it with its interval."""

    value: float | None
    n: int
    events: int
    floor: Floor | None = None
    excess: Estimate = NOTHING

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values. The error itself has no interval: it lies above its floor even where all p are right."""
        why = NOTHING.why if self.value is None else "an error is never zero; judge its excess over the floor"
        own = Estimate(self.value, None, None, self.n, self.events, why=why)
        floor = None if self.floor is None else vars(self.floor)
        return {**own.as_dict(), "floor": floor, "excess": self.excess.as_dict()}


def errors(
    part: Scored, p: NDArray[np.float64], rounds: int, seed: int, weight: NDArray[np.float64] | None = None
) -> dict[str, CalibrationError]:
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
        return dict.fromkeys(KINDS_OF_ERROR, CalibrationError(None, n, 0))
    weights = np.ones(n) if weight is None else weight
    columns = [_one_hot(calibration.bin_of(p, BINS, by), weights, label, p) for by in ("width", "mass")]
    resampling = Resampling(part.pixel, rounds, seed)
    total = resampling.sums(np.concatenate(columns, axis=1))
    width, mass = (total[:, k * 3 * BINS : (k + 1) * 3 * BINS].reshape(-1, 3, BINS) for k in range(2))
    values = {
        "equal_width": (calibration.ece(label, p, weights), _error(width, 0)),
        "equal_mass": (calibration.ece(label, p, weights, by="mass"), _error(mass, 0)),
        "positive": (calibration.ece_positive(label, p, weights), _error(width, 1)),
    }
    floor = floors(p, weight, label, seed)
    few_pixels = too_few_pixels(len(resampling.pixels))
    found = {}
    for name, (value, samples) in values.items():
        assert value is not None  # both classes are there
        excess = _excess(value, floor[name], samples, n, events, few_pixels)
        found[name] = CalibrationError(value, n, events, floor[name], excess)
    return found


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


def _excess(value: float, floor: Floor, samples: NDArray[np.float64], n: int, events: int, few_pixels: str) -> Estimate:
    """The error above the median of its floor, with an interval of the true error.

    The rounds of a bootstrap are as much above the error as the error is above the truth, so their ends are mirrored
    (the basic bootstrap; the upper end is the larger of both). The lower end is above zero only where a test says so:
    the error exceeds the 95th percentile of the floor.
    """
    excess = max(0.0, value - floor.median)
    bottom, top = percentile_interval(samples)
    if few_pixels or bottom is None or top is None:
        why = few_pixels or "no interval: undefined in too many rounds of the bootstrap"
        return Estimate(excess, None, None, n, events, why=why)
    low = min(excess, max(0.0, 2 * value - top)) if value > floor.p95 else 0.0
    return Estimate(excess, low, min(1.0, max(excess, 2 * value - bottom, top)), n, events, EXCESS)


def as_dict(found: dict[str, CalibrationError]) -> dict[str, Any]:
    """Plain JSON values."""
    return {name: estimate.as_dict() for name, estimate in found.items()}


def diagram(part: Scored, p: NDArray[np.float64], by: By, of: str) -> list[dict[str, Any]]:
    """Rows of the reliability diagram; a bin in fewer than ten pixels has no interval."""
    bins = calibration.reliability(part.is_lens, p, by=by)
    which = calibration.bin_of(p, BINS, by)
    names = ("low", "high", "n", "lenses", "mean_p", "observed")
    rows = []
    for k, number in enumerate(np.unique(which)):
        share = share_of_rows(part.is_lens[which == number], part.pixel[which == number])
        own = {name: getattr(bins, name)[k].item() for name in names}
        rows.append({"of": of, "bins": f"equal {by}", **own, "observed_low": share.low, "observed_high": share.high})
    return rows
