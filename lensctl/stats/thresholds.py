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

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Threshold:
    """A galaxy is selected if logit >= `logit`; with counts on the validation rows used to choose it.

    Attributes
    ----------
    name : str
        "p=0.5", or "fpr=0.001" for the lowest threshold with at most that false positive rate.
    target_fpr : float or None
    logit, p : float
        The same threshold on both scales.
    found, lenses, false, others : int
        Selected and all lenses, selected and all non-lenses.
    """

    name: str
    target_fpr: float | None
    logit: float
    p: float
    found: int
    lenses: int
    false: int
    others: int


def choose(label: ArrayLike, logit: ArrayLike, target_fprs: Sequence[float] = TARGET_FPRS) -> tuple[Threshold, ...]:
    """The threshold p = 0.5, and for each target the lowest threshold with at most that false positive rate.

    Without non-lenses there are no thresholds for targets.
    """
    points = metrics.curve(label, logit)
    chosen: list[tuple[str, float | None, metrics.Point]] = [("p=0.5", None, points.at(0.0))]
    if points.others:
        for target in target_fprs:
            allowed = points.false <= target * points.others * (1 + metrics.SLACK)
            number = int(allowed.sum())
            threshold = points.threshold[number - 1] if number else points.strictest_above()
            chosen.append((f"fpr={target:g}", target, points.at(threshold)))
    return tuple(
        Threshold(
            name,
            target,
            point.threshold,
            float(logistic(point.threshold)),
            int(point.found),
            int(points.lenses),
            int(point.false),
            int(points.others),
        )
        for name, target, point in chosen
    )


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
