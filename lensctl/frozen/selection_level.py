"""The level `selection` of a frozen model: what gate lines must say of its selection function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lensctl.frozen.gate_results import Lines, missing_or_failed
from lensctl.rules.acceptance import (
    CLOSURE_LENSES,
    MOST_ARC_AUC,
    MOST_ARC_OFFSET_PX,
    MOST_ARTEFACT_AUC,
    MOST_BRIGHTER,
    MOST_CLOSURE,
)
from lensctl.rules.checks import meets_limit
from lensctl.stats.intervals import LEVEL as INTERVAL
from lensctl.stats.intervals import student_interval

LEVEL = "selection"
CLOSURE, REALISM = "selection", "realism"
GATES = (CLOSURE, REALISM)
DECIDES = "A+B"
"""Lenses of these tiers decide whether a selection function closes."""

ARTEFACTS, ARCS, EMBEDDING = "artefacts", "arcs", "the model's embedding"
AUC = {kind: f"P{i}: AUC of {kind}, matched" for i, kind in enumerate((ARTEFACTS, ARCS, EMBEDDING), start=1)}
CENTRED = tuple(f"P1: mean offset of injected arcs along {axis}, px" for axis in ("x", "y"))
BRIGHT = "P1: share of injections brighter than their table says"
"""Checks of `gate realism` that judge, AUC by what they judge."""


def closure_of(threshold: str, lenses: str = DECIDES) -> str:
    """The check of `gate selection` that compares lenses at a threshold."""
    return f"{threshold}: recall less mean p_det of {lenses}"


def closure_limit(most: float, level: float) -> str:
    """The limit of a check that decides whether p_det closes."""
    return f"{100 * level:.3g} % interval inside +-{most:g}"


def closure_interval(row: Mapping[str, Any], level: float = INTERVAL) -> tuple[float, float]:
    """The interval of a difference in a table of closure, that has one: Student's of the pixels of its lenses."""
    return student_interval(row["difference"], row["standard_error"], row["pixels"], level)


def auc_limit(most: float) -> str:
    """The limit of a check of arcs or embedding."""
    return f"interval not above {most:g}"


LIMITS = {
    **dict.fromkeys(CENTRED, meets_limit(-MOST_ARC_OFFSET_PX, MOST_ARC_OFFSET_PX)),
    BRIGHT: meets_limit(0.0, MOST_BRIGHTER),
    AUC[ARTEFACTS]: meets_limit(1 - MOST_ARTEFACT_AUC, MOST_ARTEFACT_AUC),
    AUC[ARCS]: auc_limit(MOST_ARC_AUC),
    AUC[EMBEDDING]: auc_limit(MOST_ARC_AUC),
}


def shortfalls(lines: Lines, digest: str, thresholds: Iterable[str]) -> list[str]:
    """Why a selection function has not the level: closure reached at every threshold, realism not missed.

    Parameters
    ----------
    lines : of gates
    digest : str
        Of the selection function.
    thresholds : iterable of str
        All that it has.
    """
    found = missing_or_failed(lines, dict.fromkeys(GATES, digest), GATES)
    if found:
        return found
    own = {gate: [line for line in lines if line["gate"] == gate and line["input_digest"] == digest] for gate in GATES}
    limits = {closure_of(name): closure_limit(MOST_CLOSURE, INTERVAL) for name in thresholds}
    found += _lacking(CLOSURE, own[CLOSURE], limits)
    found += _lacking(REALISM, own[REALISM], LIMITS)
    untold = [str(line["check"]) for line in own[CLOSURE] if line.get("told") is False]
    untold += [
        f"{line['check']}: {line['n']} lenses, fewer than {CLOSURE_LENSES}"
        for line in own[CLOSURE]
        if line["check"] in limits and line.get("told") is not False and not _many(line["n"])
    ]
    return [*found, *([f"{CLOSURE}: not told ({'; '.join(untold)})"] if untold else [])]


def _many(n: Any) -> bool:
    return isinstance(n, int) and n >= CLOSURE_LENSES


def _lacking(gate: str, lines: Lines, limits: Mapping[str, str]) -> list[str]:
    """Checks that must be there and are not, and those that were judged by another limit than the level's."""
    named = {str(line["check"]) for line in lines}
    missing = [check for check in limits if check not in named]
    lenient = [
        f"{line['check']}: {line['limit']}"
        for line in lines
        if line["value"] is not None and limits.get(str(line["check"]), line["limit"]) != line["limit"]
    ]
    return [
        *([f"{gate}: there is no line of {'; '.join(missing)}"] if missing else []),
        *([f"{gate}: judged by another limit ({'; '.join(lenient)})"] if lenient else []),
    ]
