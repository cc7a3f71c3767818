"""p_det at each threshold: which injections count, the fit, shares in cells, and what is known of the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.rules.errors import InputError
from lensctl.selection.p_det.axes import tensors_of
from lensctl.selection.p_det.cells import cells
from lensctl.selection.p_det.detection import Detection, fit_detection
from lensctl.stats.shares import share_of_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.selection.fitting.frozen_model import Threshold
    from lensctl.selection.fitting.scored import Injections
    from lensctl.selection.p_det.axes import Axis

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AtThreshold:
    """What was measured at one threshold.

    Attributes
    ----------
    threshold : Threshold
    detection : Detection
    draws : (rounds, K + 1) float64
        Of its coefficients.
    kept : (N,) bool
        Injections whose host is below the threshold without an arc.
    detected : (N,) bool
        Of all injections.
    cells : list of dict
    facts : dict
        Plain values for selection.json.
    """

    threshold: Threshold
    detection: Detection
    draws: Floats
    kept: NDArray[np.bool_]
    detected: NDArray[np.bool_]
    cells: list[dict[str, Any]]
    facts: dict[str, Any]


def fitted(
    injections: Injections, axes: Sequence[Axis], threshold: Threshold, *, rounds: int, seed: int
) -> AtThreshold:
    """Fit p_det at a threshold; InputError where too few were detected, or missed, to tell."""
    logit, host_logit = injections.numbers("logit"), injections.numbers("logit_host")
    kept, detected = host_logit < threshold.logit, logit >= threshold.logit
    values = {axis.name: injections.numbers(axis.name)[kept] for axis in axes}
    pixel = injections.pixel[kept]
    try:
        made = fit_detection(axes, values, detected[kept], pixel, rounds=rounds, seed=seed)
    except InputError as error:
        raise InputError(f"at {threshold.name}: {error}", error.fix) from error
    hosts = np.array(injections.table["host_id"].to_pylist(), object)
    pairs = tensors_of(axes)
    counted = cells(axes, values, detected[kept], pixel, pair=pairs[0]) if pairs else []
    share = share_of_rows(detected[kept], pixel)
    facts = {
        "name": threshold.name,
        "logit": threshold.logit,
        "box_mean": share.as_dict(),
        "hosts_above": len(set(hosts[~kept])),
        "injections_of_hosts_above": int((~kept).sum()),
        "threshold_low": threshold.low,
        "threshold_high": threshold.high,
        "box_mean_at_threshold_low": _share(logit[kept], threshold.low),
        "box_mean_at_threshold_high": _share(logit[kept], threshold.high),
        "fit": dict(made.detection.facts),
    }
    return AtThreshold(threshold, made.detection, made.draws, kept, detected, counted, facts)


def _share(logit: Floats, threshold: float | None) -> float | None:
    """Share at another threshold: what the threshold's own error does."""
    return None if threshold is None else float((logit >= threshold).mean())


def fitted_at_all(
    injections: Injections, axes: Sequence[Axis], thresholds: Sequence[Threshold], *, rounds: int, seed: int
) -> tuple[list[AtThreshold], list[dict[str, str]]]:
    """The fits at all thresholds that allow one, and the reasons why others have none; InputError where none does."""
    found, left_out = [], []
    for threshold in thresholds:
        try:
            found.append(fitted(injections, axes, threshold, rounds=rounds, seed=seed))
        except InputError as error:
            left_out.append({"name": threshold.name, "why": str(error)})
            reason = error
    if not found:
        raise reason
    return found, left_out
