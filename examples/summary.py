"""Say what the pipeline in a folder made: one row a step, the gates, the model's figures, the report to open."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table


def steps(work: Path) -> list[dict[str, object]]:
    """Receipts of the steps, in the order of their numbers."""
    files = sorted((work / "receipts").glob("*.json"), key=lambda file: int(file.name.split("-")[0]))
    return [json.loads(file.read_text().splitlines()[-1]) for file in files]


def checks(work: Path) -> list[dict[str, object]]:
    """Every check of every gate that was run."""
    files = sorted((work / "gates").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def interval(figure: dict[str, float]) -> str:
    """A figure with its 95 % interval."""
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def main(work: Path) -> None:
    """Print the summary of one folder."""
    made = Table(title=f"What was made in {work}/", title_justify="left", title_style="bold")
    for name in ("step", "where", "what", "seconds"):
        made.add_column(name, justify="right" if name == "seconds" else "left")
    for step in steps(work):
        facts = {k: v for k, v in step.items() if k not in ("command", "output", "seconds")}
        counts = {k: v for k, v in facts.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        said = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())
        made.add_row(str(step["command"]), str(step["output"]), said, f"{step['seconds']:.1f}")
    console = Console(width=max(100, Console().width))
    console.print(made)

    judged = checks(work)
    gates = {str(check["gate"]): [c for c in judged if c["gate"] == check["gate"]] for check in judged}
    figures = json.loads((work / "evaluation" / "metrics.json").read_text())["headline"]
    result = Table(title="Result on held-out mock lenses", title_justify="left", title_style="bold", show_header=False)
    passed = [name for name, of in gates.items() if all(c["passed"] for c in of)]
    result.add_row("gates passed", f"{len(passed)} of {len(gates)}: {', '.join(passed)}")
    result.add_row("tier-A recall at p = 0.5", interval(figures["tier_a_recall"]))
    result.add_row("test AUC", interval(figures["test_auc"]))
    result.add_row("frozen model, verified", str(work / "frozen"))
    result.add_row("limits of the demo's own", "see examples/configs/gates.yaml")
    result.add_row("report to open", str((work / "evaluation" / "report.html").resolve()))
    console.print(result)
    console.print("The survey is a mock: this shows that the machinery works, not what a model finds on the real sky.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
