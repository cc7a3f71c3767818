"""Acceptance criteria of each level: value, limit, and what the interval says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from lensctl.rules.acceptance import LEVELS, MISSED, REACHED, of_all, word
from lensctl.stats.intervals import LEVEL

ROWS: tuple[tuple[str, str, str], ...] = (
    ("Tier-A recall at p = 0.5", "tier_a_recall", "min_recall"),
    ("Tier-A AUC", "tier_a_auc", "min_auc"),
    ("Contaminant FPR at p = 0.5, worst category", "contaminant_fpr", "max_fpr"),
    ("Excess ECE, bins of equal width", "ece_equal_width", "max_ece"),
    ("Excess ECE, bins of equal mass", "ece_equal_mass", "max_ece"),
    ("Excess ECE where the lenses are", "ece_positive", "max_ece_positive"),
)


def verdicts(headline: Mapping[str, Any]) -> dict[str, Any]:
    """For each level, whether it is reached, missed or not told, and its rows."""
    levels = {}
    for level, limits in LEVELS.items():
        rows = [_row(label, headline[name], limit_name, limits.get(limit_name)) for label, name, limit_name in ROWS]
        rows += [_stability(headline), _generalisation(headline)]
        levels[level] = {"verdict": of_all(row["verdict"] for row in rows if row["verdict"]), "rows": rows}
    return levels


def _row(label: str, figure: Mapping[str, Any], limit_name: str, limit: float | None) -> dict[str, Any]:
    judged = figure.get("excess") or figure
    least = limit_name.startswith("min_")
    return {
        "criterion": label,
        **{name: judged[name] for name in ("value", "low", "high", "n", "few", "why", "text")},
        "limit": "" if limit is None else f"{'>=' if least else '<='} {limit:g}",
        "verdict": "" if limit is None else word(judged["low"], judged["high"], limit, least=least),
    }


def _stability(headline: Mapping[str, Any]) -> dict[str, Any]:
    stable = headline["nan_scores"] == 0 and not headline["collapsed"]
    return _plain("No NaN, no collapse", headline["nan_scores"], "= 0", REACHED if stable else MISSED)


def generalisation(headline: Mapping[str, Any]) -> dict[str, Any]:
    """Validation minus test AUC, with an interval that treats the two as independent."""
    val, test = headline["val_auc"], headline["test_auc"]
    if val is None or val["value"] is None or test["value"] is None:
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
    row = _plain("AUC of val minus AUC of test", gap["value"], "", "")
    return {**row, "low": gap["low"], "high": gap["high"], "n": headline["test_auc"]["n"]}


def _plain(label: str, value: Any, limit: str, verdict: str) -> dict[str, Any]:
    own = {"criterion": label, "value": value, "low": None, "high": None, "n": 0, "few": False, "why": "", "text": ""}
    return {**own, "limit": limit, "verdict": verdict}
