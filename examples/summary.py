"""Summarise a pipeline run: one row per step, the gates, the model's metrics, the report to open."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def steps(work: Path) -> list[dict[str, object]]:
    """Receipts of the steps, in numerical order."""
    files = sorted((work / "receipts").glob("*.json"), key=lambda file: int(file.name.split("-")[0]))
    return [json.loads(file.read_text().splitlines()[-1]) for file in files]


def checks(work: Path) -> list[dict[str, object]]:
    """All checks of all gates that were run."""
    files = sorted((work / "gates").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def interval(metric: dict[str, Any]) -> str:
    """A metric with its 95 % interval, or why it has none."""
    if metric["value"] is None or metric["low"] is None or metric["high"] is None:
        return f"{metric['value']} ({metric['why']})"
    return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})"


def selection(receipts: list[dict[str, Any]]) -> Table:
    """Which share of a population is found, by both averages, beside the share of the injections."""
    fit, apply = ({r.get("action"): r for r in receipts}[action] for action in ("fit", "apply"))
    found, chosen = apply["completeness"], apply["threshold"]
    title = f"Selection function on mock hosts at {chosen}"
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    box = next(point for point in fit["thresholds"] if point["name"] == chosen)["box_mean"]
    table.add_row("share of the injections found", f"{box:.3f}: of the design's box, not a completeness")
    table.add_row("completeness for", "isothermal lenses, sources brighter than 26, arcs as bright as injected")
    for name, what in (("plug_in", "  by p_det"), ("importance", "  by the injections, weighted")):
        of = found[name]
        table.add_row(what, interval(of["within"]) if of else "; ".join(found["reasons"]))
    n_eff = {name: "none" if value is None else f"{value:,.0f}" for name, value in found["n_eff"].items()}
    table.add_row("effective numbers", f"{n_eff['injections']} hosts, {n_eff['table']} rows of the table")
    table.add_row(
        "fainter lenses", f"{100 * found['share']['fainter_than_injections']:.0f} % of all, taken as not found"
    )
    table.add_row(
        "why they differ", "the design asks at every radius and magnitude alike; most lenses are small and faint"
    )
    return table


def searched(work: Path) -> list[tuple[str, str]]:
    """What the search found, if it was run."""
    file = work / "search" / "search.json"
    if not file.is_file():
        return []
    found = json.loads(file.read_text())
    rows, candidates, known = found["rows"], found["candidates"], found["known_lenses"]
    recall = next(row for row in known["recall"] if (row["tier"], row["lenses"], row["at"]) == ("A", "unseen", "p=0.5"))
    return [
        ("searched", f"{rows['scored']:,} galaxies of {rows['searched']:,}, {found['area']['searched_deg2']:.2f} deg²"),
        ("in the list", f"{candidates['systems']} systems, {candidates['known_lenses']} of them known lenses"),
        ("recall of unseen known lenses, tier A, p = 0.5", interval(recall)),
        ("candidates to look at", str((work / "search" / "report.html").resolve())),
    ]


def main(work: Path) -> None:
    """Print the summary of one folder."""
    outputs = Table(title=f"Outputs in {work}/", title_justify="left", title_style="bold")
    for name in ("step", "output", "counts", "seconds"):
        outputs.add_column(name, justify="right" if name == "seconds" else "left")
    for step in steps(work):
        facts = {k: v for k, v in step.items() if k not in ("command", "action", "output", "seconds")}
        counts = {k: v for k, v in facts.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        text = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())
        name = " ".join(str(step[part]) for part in ("command", "action") if part in step)
        outputs.add_row(name, str(step["output"]), text, f"{step['seconds']:.1f}")
    console = Console(width=max(100, Console().width))
    console.print(outputs)

    results = checks(work)
    gates = {str(check["gate"]): [c for c in results if c["gate"] == check["gate"]] for check in results}
    evaluation = json.loads((work / "evaluation" / "metrics.json").read_text())
    metrics = evaluation["headline"]
    result = Table(title="Result on held-out mock lenses", title_justify="left", title_style="bold", show_header=False)
    passed = [name for name, of in gates.items() if all(c["passed"] for c in of)]
    result.add_row("gates passed", f"{len(passed)} of {len(gates)}: {', '.join(passed)}")
    untold = Counter(str(check["gate"]) for check in results if not check.get("told", True))
    few = ", ".join(f"{count} of {gate}" for gate, count in untold.items())
    result.add_row("checks not told", f"{few}: too few mock lenses" if few else "none")
    result.add_row("levels", ", ".join(f"{name} {of['verdict']}" for name, of in evaluation["levels"].items()))
    result.add_row("tier-A recall at p = 0.5", interval(metrics["tier_a_recall"]))
    result.add_row("test AUC", interval(metrics["test_auc"]))
    result.add_row("frozen model, verified", str(work / "frozen"))
    for name, value in searched(work):
        result.add_row(name, value)
    result.add_row("relaxed limits", "see examples/configs/gates.yaml")
    for name in ("evaluation", "selection"):
        result.add_row("report to open", str((work / name / "report.html").resolve()))
    console.print(result)
    console.print(selection(steps(work)))
    console.print("The survey is a mock: this shows that the pipeline works, not what a model finds on the real sky.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
