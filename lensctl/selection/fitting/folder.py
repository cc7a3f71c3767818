"""The folder of a selection function: selection.json, tables/, plots/, evaluate.py and golden.csv."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.io.html.figures import render
from lensctl.io.tables.csv_dress import for_people
from lensctl.io.tables.files import write_table
from lensctl.selection.fitting.measured import TABLES_FOR_PEOPLE
from lensctl.selection.fitting.plots import figures
from lensctl.selection.p_det.evaluate_file import golden, text_of

if TYPE_CHECKING:
    from lensctl.selection.fitting.measured import Measured

FACTS, EVALUATE, GOLDEN = "selection.json", "evaluate.py", "golden.csv"
PLOT_KINDS = ("png", "pdf")


def write(measured: Measured, folder: Path) -> None:
    """Write a selection function into an empty folder; reproducible byte for byte."""
    for name in ("tables", "plots"):
        (folder / name).mkdir()
    for name, table in sorted(measured.tables.items()):
        write_table(table, str(folder / "tables" / f"{name}.parquet"))
        if name in TABLES_FOR_PEOPLE:
            write_table(for_people(table), str(folder / "tables" / f"{name}.csv"))
    for name, figure in figures(measured):
        for kind in PLOT_KINDS:
            (folder / "plots" / f"{name}.{kind}").write_bytes(render(figure, kind))
    detections = {fit.threshold.name: fit.detection for fit in measured.fits}
    injections = measured.given.injections
    values = {axis.name: injections.numbers(axis.name) for axis in measured.fits[0].detection.axes}
    facts = measured.facts
    title = ". ".join(filter(None, (f"p_det of {facts['model']}, {facts['model_digest']}", facts["note"])))
    (folder / EVALUATE).write_text(text_of(detections, title), encoding="utf-8")
    write_table(golden(detections, values), str(folder / GOLDEN))
    text = json.dumps(facts, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")
