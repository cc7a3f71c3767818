"""Thresholds on the logit, chosen on validation, and storage of the scores they were chosen from."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.rules.acceptance import TARGET_FPRS
from lensctl.rules.errors import InputError
from lensctl.stats import metrics
from lensctl.stats.calibration import logistic
from lensctl.stats.shares import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


ABOVE_ALL = "above all non-lenses"
"""Name of the threshold that is given in place of those which the rows cannot resolve."""

FORMAT = 2
"""Of a set of thresholds: 1 gave a threshold for every target, however few the non-lenses."""


@dataclass(frozen=True)
class Threshold:
    """A galaxy is selected if logit >= `logit`; with counts on the validation rows used to choose it.

    Attributes
    ----------
    name : str
        "p=0.5", "fpr=0.001" for the lowest threshold with at most that false positive rate, or ABOVE_ALL.
    target_fpr : float or None
    logit, p : float or None
        The same threshold on both scales; None for a target that the rows do not resolve.
    found, lenses, false, others : int
        Selected and all lenses, selected and all non-lenses.
    """

    name: str
    target_fpr: float | None
    logit: float | None
    p: float | None
    found: int | None
    lenses: int
    false: int | None
    others: int

    @property
    def text(self) -> str:
        """What is known of the false positive rate where none was counted, or a target is not resolved; else empty."""
        if self.logit is None and self.target_fpr is not None:
            return unresolved(self.target_fpr, self.others)
        return counted(0, self.others) if self.false == 0 else ""


def resolves(fpr: float, others: int) -> bool:
    """Whether at least one false positive is expected at this rate."""
    return fpr * others * (1 + metrics.SLACK) >= 1


def unresolved(fpr: float, others: int) -> str:
    """Why there is nothing at a false positive rate."""
    return f"not resolved: {fpr * others:.2g} false positives are expected of {others:,} non-lenses"


def choose(
    label: ArrayLike, logit: ArrayLike, target_fprs: Sequence[float] = TARGET_FPRS, *, by_format: int = FORMAT
) -> tuple[Threshold, ...]:
    """The threshold p = 0.5, and for each target the lowest threshold with at most that false positive rate.

    A target at which less than one false positive is expected has no threshold: the one above all non-lenses, which is
    given instead, may have a much larger rate. Without non-lenses there are no thresholds for targets.

    Parameters
    ----------
    by_format : int
        The rule of an older format: 1 gave the threshold above all non-lenses under the name of every such target.
    """
    points = metrics.curve(label, logit)
    lenses, others = int(points.lenses), int(points.others)

    def at(name: str, target: float | None, point: metrics.Point) -> Threshold:
        p = float(logistic(point.threshold))
        return Threshold(name, target, point.threshold, p, int(point.found), lenses, int(point.false), others)

    def lowest(target: float) -> metrics.Point:
        number = int((points.false <= target * points.others * (1 + metrics.SLACK)).sum())
        return points.at(points.threshold[number - 1] if number else points.strictest_above())

    chosen = [at("p=0.5", None, points.at(0.0))]
    targets = target_fprs if others else ()
    for target in targets:
        name = f"fpr={target:g}"
        if by_format == 1 or resolves(target, others):
            chosen.append(at(name, target, lowest(target)))
        else:
            chosen.append(Threshold(name, target, None, None, None, lenses, None, others))
    if any(threshold.logit is None for threshold in chosen):
        chosen.append(at(ABOVE_ALL, None, lowest(0.0)))
    return tuple(chosen)


def pack(logit: NDArray[np.float64]) -> dict[str, Any]:
    """Sorted logits as a JSON value: little-endian floats in base64, float32 if lossless, else float64."""
    ordered = np.sort(np.asarray(logit, np.float64))
    kind = "<f4" if (ordered.astype("<f4").astype(np.float64) == ordered).all() else "<f8"
    return {"n": len(ordered), "dtype": kind, "base64": base64.b64encode(ordered.astype(kind).tobytes()).decode()}


def unpack(value: Mapping[str, Any], where: str) -> NDArray[np.float64]:
    """Logits from their JSON value; InputError if it is invalid."""
    try:
        kind = {"<f4": "<f4", "<f8": "<f8"}[value["dtype"]]
        logit = np.frombuffer(base64.b64decode(value["base64"], validate=True), kind).astype(np.float64)
        if len(logit) != value["n"] or not np.isfinite(logit).all():
            raise ValueError
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InputError(f"{where}: invalid stored scores", "freeze the model again") from error
    return logit
