"""Acceptance criteria of each level: value, limit, and whether the limit is inside the interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from lensctl.rules.acceptance import LEVELS
from lensctl.stats.intervals import LEVEL

ROWS: tuple[tuple[str, str, str], ...] = (
    ("Tier-A recall at p = 0.5", "tier_a_recall", "min_recall"),
    ("Tier-A AUC", "tier_a_auc", "min_auc"),
    ("Contaminant FPR at p = 0.5, worst category", "contaminant_fpr", "max_fpr"),
    ("ECE, bins of equal width", "ece_equal_width", "max_ece"),
    ("ECE, bins of equal mass", "ece_equal_mass", "max_ece"),
    ("ECE where the lenses are", "ece_positive", "max_ece_positive"),
)


def verdicts(headline: Mapping[str, Any]) -> dict[str, Any]:
    """For each level, whether it is reached, and its rows."""
    levels = {}
    for level, limits in LEVELS.items():
        rows = [_row(label, headline[name], limit_name, limits.get(limit_name)) for label, name, limit_name in ROWS]
        rows += [_stability(headline), _generalisation(headline)]
        judged = [row["passed"] for row in rows if row["passed"] is not None]
        levels[level] = {"passed": all(judged), "rows": rows}
    return levels


def _row(label: str, figure: Mapping[str, Any], limit_name: str, limit: float | None) -> dict[str, Any]:
    value, low, high = figure["value"], figure["low"], figure["high"]
    least = limit_name.startswith("min_")
    shown = "" if limit is None else f"{'>=' if least else '<='} {limit:g}"
    passed: bool | None = None
    inside = False
    if limit is not None:
        passed = value is not None and (value >= limit if least else value <= limit)
        inside = low is not None and high is not None and low <= limit <= high
    return {
        "criterion": label,
        "value": value,
        "low": low,
        "high": high,
        "n": figure["n"],
        "few": figure["few"],
        "limit": shown,
        "passed": passed,
        "limit_inside_interval": inside,
    }


def _stability(headline: Mapping[str, Any]) -> dict[str, Any]:
    passed = headline["nan_scores"] == 0 and not headline["collapsed"]
    return _plain("No NaN, no collapse", headline["nan_scores"], "= 0", passed)


def generalisation(headline: Mapping[str, Any]) -> dict[str, Any]:
    """Validation minus test AUC, with an interval that treats the two as independent."""
    val, test = headline["val_auc"], headline["test_auc"]
    if val["value"] is None or test["value"] is None:
        return {"value": None, "low": None, "high": None}
    gap = val["value"] - test["value"]
    if None in (val["low"], val["high"], test["low"], test["high"]):
        return {"value": gap, "low": None, "high": None}
    z = 2 * NormalDist().inv_cdf((1 + LEVEL) / 2)
    half = z / 2 * math.hypot(*((part["high"] - part["low"]) / z for part in (val, test)))
    return {"value": gap, "low": gap - half, "high": gap + half}


def _generalisation(headline: Mapping[str, Any]) -> dict[str, Any]:
    """Validation minus test AUC, reported only; a difference hints at leakage between the splits."""
    gap = generalisation(headline)
    row = _plain("AUC of val minus AUC of test", gap["value"], "", None)
    return {**row, "low": gap["low"], "high": gap["high"], "n": headline["test_auc"]["n"]}


def _plain(label: str, value: Any, limit: str, passed: bool | None) -> dict[str, Any]:
    return {
        "criterion": label,
        "value": value,
        "low": None,
        "high": None,
        "n": 0,
        "few": False,
        "limit": limit,
        "passed": passed,
        "limit_inside_interval": False,
    }
