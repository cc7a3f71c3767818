"""The thresholds of a frozen model as it stores them, by the rules of its format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lensctl.stats.thresholds import FORMAT, Threshold

OLD_EVALUATION = "lensctl.evaluation/1"
"""Schema of metrics.json whose thresholds are of format 1: one for every target, however few the non-lenses."""


def format_of(metrics: Mapping[str, Any]) -> int:
    """The format of a frozen model of this evaluation."""
    return 1 if metrics.get("schema") == OLD_EVALUATION else FORMAT


def points_of(chosen: Sequence[Threshold], metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Thresholds as JSON values; from format 2 on with the false positive rate that each may really have.

    Parameters
    ----------
    chosen : sequence of Threshold
        By `thresholds.choose`.
    metrics : mapping
        metrics.json of the evaluation: its intervals know the pixels of the validation rows.
    """
    if format_of(metrics) == 1:
        return [dict(vars(threshold)) for threshold in chosen]
    rates = [point["val"]["fpr"] for point in metrics["thresholds"]["points"]]
    return [
        {**vars(threshold), "fpr_low": rate["low"], "fpr_high": rate["high"], "text": threshold.text}
        for threshold, rate in zip(chosen, rates, strict=True)
    ]
