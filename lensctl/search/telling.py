"""What a finished search tells: its receipt, and tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lensctl.io.reporter import Reporter
from lensctl.rules.quality import OK


def counts(made: Mapping[str, Any]) -> dict[str, Any]:
    """What the receipt tells of a search."""
    rows, found = made["rows"], made["candidates"]
    told = made["false_discovery"]
    q = {} if told is None else {"smallest_q": {of["name"]: of["smallest_q"] for of in told["estimates"]}}
    return {
        "rows": rows["searched"],
        "scored": rows["scored"],
        "lost": rows["lost"],
        "status": rows["status"],
        "candidates": found["rows"],
        "systems": found["systems"],
        "known_lenses": found["known_lenses"],
        "searched_deg2": round(made["area"]["searched_deg2"], 4),
        **q,
        "model_digest": made["model_digest"],
    }


def show(made: Mapping[str, Any], report: Reporter) -> None:
    """The funnel, the thresholds and the known lenses, for people."""
    if made["mock"]:
        report.say(made["note"])
    funnel = [(row["criterion"], row["removed"], row["remaining"]) for row in made["funnel"]]
    lost = [(status, n) for status, n in made["rows"]["status"].items() if status != OK]
    remaining = made["rows"]["searched"]
    for status, count in lost:
        remaining -= count
        funnel.append((f"no score: {status}", count, remaining))
    report.table("Funnel", ("criterion", "removed", "remaining"), funnel)
    rows = [
        (t["name"], t["logit"], t["rows"], None if t["per_deg2"] is None else t["per_deg2"]["value"], t["text"])
        for t in made["thresholds"]
    ]
    report.table("Rows above each threshold", ("threshold", "logit", "rows", "per square degree", "remark"), rows)
    if made["known_lenses"] is not None:
        fates = [(row["tier"], row["fate"], row["lenses"]) for row in made["known_lenses"]["fates"]]
        report.table("Known lenses", ("tier", "fate", "lenses"), fates)
        figures = [
            (
                row["tier"],
                row["lenses"],
                row["at"],
                row["value"],
                row["low"],
                row["high"],
                row["n"],
                row["text"] or row["why"],
            )
            for row in made["known_lenses"]["recall"]
        ]
        columns = ("tier", "lenses", "at", "recall", "low", "high", "n", "remark")
        report.table("Recall of known lenses in the searched area", columns, figures)
    if made["false_discovery"] is not None:
        _show_false_discovery(made["false_discovery"], report)


def _show_false_discovery(told: Mapping[str, Any], report: Reporter) -> None:
    """How small q-values can become, and how many candidates reach some."""
    rows = []
    for of in told["estimates"]:
        for reached in of["reached"]:
            row = (of["name"], of["smallest_q"], of["unlike"], reached["q"], reached["candidates"], reached["at_least"])
            rows.append(row)
    columns = ("estimate", "smallest q", "unlike any null", "q", "candidates that reach it", "needed at least")
    title = f"False discoveries: {told['candidates']:,} new candidates, {told['null']['rows']:,} null galaxies"
    report.table(title, columns, rows)
