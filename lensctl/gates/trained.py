"""The trained gate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.gates.registry import gate, setting
from lensctl.io.provenance import digests
from lensctl.rules.acceptance import LEVELS, NOT_TOLD, REACHED, word
from lensctl.rules.checks import Check
from lensctl.rules.config import as_written, json_value
from lensctl.rules.errors import InputError
from lensctl.stats.intervals import FEW

if TYPE_CHECKING:
    from lensctl.gates.inputs import Inputs

GATE = "trained"
HEADLINE = ("tier_a_recall", "tier_a_auc", "contaminant_fpr", "ece_equal_width", "ece_equal_mass", "ece_positive")
ERRORS = (
    ("ECE, bins of equal width", "ece_equal_width", "max_ece"),
    ("ECE, bins of equal mass", "ece_equal_mass", "max_ece"),
    ("ECE where the lenses are", "ece_positive", "max_ece_positive"),
)
NEEDED = (*HEADLINE, "nan_scores", "collapsed")


@dataclass(frozen=True)
class Settings:
    """Limits of the trained gate; where none is set, the level's limit applies."""

    level: str = setting("mvp", "named set of limits", choices=("mvp", "publication"))
    min_recall: float = setting(math.nan, "minimum tier-A recall at p = 0.5 (mvp 0.75, publication 0.85)")
    min_auc: float = setting(math.nan, "minimum tier-A AUC (mvp 0.90)")
    max_fpr: float = setting(math.nan, "maximum false positive rate of the worst confuser category (mvp 0.10)")
    max_ece: float = setting(math.nan, "maximum excess ECE, equal-width and equal-mass bins (mvp 0.10)")
    max_ece_positive: float = setting(math.nan, "maximum excess ECE where the lenses are (mvp 0.10)")
    strict: bool = setting(False, "fail what the interval does not tell")


@gate(GATE, inputs="EVALUATION_DIR", settings=Settings)
def trained(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """The trained model reaches a level on held-out data: recall, AUC, false positives, calibration.

    At level `publication` only recall has a limit; other metrics are reported unless a limit is set. A criterion whose
    interval lies wholly on the right side of its limit is reached, wholly on the wrong side missed. Between them
    nothing is told: it passes with `told: false` where the value itself meets the limit, and fails with
    `trained.strict=true`. Calibration errors are judged by their excess over what a calibrated model would show.
    """
    headline = _read(inputs)
    with as_written(f"{inputs.path}/metrics.json", "evaluate again"):
        yield from _judged_by(headline, limits)


def _judged_by(headline: Mapping[str, Any], limits: Settings) -> Iterator[Check]:
    level = LEVELS[limits.level]

    def limit(name: str) -> float | None:
        own = getattr(limits, name)
        return level.get(name) if math.isnan(own) else own

    recall = _metric(headline, "tier_a_recall")
    auc = _metric(headline, "tier_a_auc")
    yield Check(GATE, "tier-A lenses to judge", recall["n"] > 0, recall["n"], limit=">= 1", n=recall["n"])
    strict = limits.strict
    check = f"tier-A recall at p = 0.5 ({limits.level})"
    yield _judged(check, recall, limit("min_recall"), strict, least=True)
    yield _judged("tier-A AUC", auc, limit("min_auc"), strict, least=True)
    yield from _false_positives(headline, limit("max_fpr"), strict)
    for check, name, setting_name in ERRORS:
        floor = _of_floor(headline[name])
        check = f"excess {check}" if floor else check
        yield _judged(check, _metric(headline, name), limit(setting_name), strict, least=False, note=floor)
    nan_scores = headline["nan_scores"]
    yield Check(GATE, "no NaN scores", nan_scores == 0, nan_scores, limit="= 0", n=auc["n"])
    collapsed = bool(headline["collapsed"])
    yield Check(GATE, "no collapse", not collapsed, int(collapsed), limit="= 0", n=auc["n"])
    yield _generalisation(headline)


def _read(inputs: Inputs) -> Mapping[str, Any]:
    file = Path(inputs.path) / "metrics.json"
    if not file.is_file():
        raise InputError(
            f"{inputs.path}: no metrics.json in this folder", "name a folder written by `lensctl evaluate`"
        )
    inputs.set_digest(digests.of_file(file))
    try:
        headline = json_value(file.read_bytes())["headline"]
        missing = [name for name in NEEDED if name not in headline]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: no headline metrics", "evaluate again") from error
    if missing:
        raise InputError(f"{file}: headline metric '{missing[0]}' is missing", "evaluate again")
    return dict(headline)


def _metric(headline: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A metric as value, low, high, n, or the excess of a calibration error; a bare number has no interval."""
    metric = headline[name] if isinstance(headline[name], Mapping) else {"value": headline[name]}
    metric = metric.get("excess") or metric
    value = metric.get("value")
    if isinstance(value, float) and not math.isfinite(value):
        value = None
    return {"low": None, "high": None, **metric, "value": value, "n": int(metric.get("n") or 0)}


def _judged(
    check: str, metric: Mapping[str, Any], limit: float | None, strict: bool, *, least: bool, note: str = ""
) -> Check:
    """Passed if reached, or if nothing is told and the value meets the limit; failed if missed, or without a value."""
    value, low, high = metric["value"], metric["low"], metric["high"]
    shown = "" if limit is None else f"{'>=' if least else '<='} {limit:g}"
    notes = [note, str(metric.get("text") or "")]
    passed, told = True, True
    if limit is not None:
        verdict = word(low, high, limit, least=least)
        meets = value is not None and (value >= limit if least else value <= limit)
        told = verdict != NOT_TOLD
        passed = value is not None and (verdict == REACHED or (not told and meets and not strict))
        notes.append(verdict if value is not None else "no value: too few rows of one class")
        if not told and value is not None:
            inside = low is not None and high is not None
            why = f"limit is inside the interval {low:.3f} to {high:.3f}" if inside else metric.get("why")
            notes.append(str(why or "no interval"))
    events = metric.get("events")
    if value is not None and events is not None and min(events, metric["n"] - events) < FEW:
        rarer = f"{events} events" if events < FEW else f"{metric['n'] - events} that are not"
        notes.append(f"based on {rarer}")
    text = "; ".join(filter(None, notes))
    return Check(GATE, check, passed, value, low, high, shown, metric["n"], note=text, told=told)


def _of_floor(metric: Any) -> str:
    """The error itself and the floor below it."""
    floor = metric.get("floor") if isinstance(metric, Mapping) else None
    if not floor:
        return ""
    return f"error {metric['value']:.4f}, floor {floor['median']:.4f} (95th percentile {floor['p95']:.4f})"


def _false_positives(headline: Mapping[str, Any], most: float | None, strict: bool) -> Iterator[Check]:
    """The rate of the worst category has a limit; all categories are reported."""
    worst = _metric(headline, "contaminant_fpr")
    category = worst.get("worst_category")
    note = f"worst: {category}" if category else ""
    yield _judged("contaminant FPR, worst category", worst, most, strict, least=False, note=note)
    by_category = headline.get("fpr_by_category") or {}
    for name in sorted(by_category):
        yield _judged(f"FPR of {name}", _metric(by_category, name), None, strict, least=False)


def _generalisation(headline: Mapping[str, Any]) -> Check:
    """Validation minus test AUC; a difference hints at leakage between the splits."""
    val, test = (_metric({"auc": headline.get(name)}, "auc") for name in ("val_auc", "test_auc"))
    if val["value"] is None or test["value"] is None:
        return Check(GATE, "AUC of val minus AUC of test", True, None, n=test["n"])
    gap, note = val["value"] - test["value"], f"val {val['value']:.4f}, test {test['value']:.4f}"
    return Check(GATE, "AUC of val minus AUC of test", True, gap, n=test["n"], note=note)
