"""The folder of a selection function: selection.json, report.html, tables/, plots/, evaluate.py and golden.csv."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.frozen.selection_folder import FACTS, other_files
from lensctl.io.html.figures import render
from lensctl.io.html.pictures import data_uri
from lensctl.io.provenance import digests
from lensctl.io.tables.csv_dress import for_people
from lensctl.io.tables.files import write_table
from lensctl.rules.columns.results import EMBEDDING
from lensctl.selection.fitting.measured import TABLES_FOR_PEOPLE
from lensctl.selection.fitting.plots import figures, slug, values_at
from lensctl.selection.p_det.evaluate_file import golden, text_of
from lensctl.selection.report import page, pictures
from lensctl.selection.report.maps import Map, map_of, write_fits

if TYPE_CHECKING:
    from lensctl.selection.fitting.fits import AtThreshold
    from lensctl.selection.fitting.measured import Measured
    from lensctl.selection.report.pictures import Pictured

REPORT, EVALUATE, GOLDEN = "report.html", "evaluate.py", "golden.csv"
PLOT_KINDS = ("png", "pdf")


def write(measured: Measured, folder: Path, pictured: Pictured | None = None) -> None:
    """Write a selection function into an empty folder; reproducible byte for byte.

    Parameters
    ----------
    pictured : Pictured, optional
        Pixels of some injections, for the pictures of the report.
    """
    for name in ("tables", "plots"):
        (folder / name).mkdir()
    for name, table in sorted(measured.tables.items()):
        write_table(table, str(folder / "tables" / f"{name}.parquet"))
        if name in TABLES_FOR_PEOPLE:
            write_table(for_people(table), str(folder / "tables" / f"{name}.csv"))
    facts = measured.facts
    maps = {fit.threshold.name: map_of(fit.detection, values_at(measured, fit)) for fit in measured.fits}
    for name, made in maps.items():
        told = {key: facts[key] for key in ("model_digest", "mock", "exploratory")}
        write_fits(folder / "plots" / f"map-{slug(name)}.fits", made, threshold=name, **told)
    plots = {}
    for name, figure in figures(measured, maps):
        for kind in PLOT_KINDS:
            (folder / "plots" / f"{name}.{kind}").write_bytes(render(figure, kind))
        plots[name] = data_uri(render(figure, "svg"), "svg+xml")
    detections = {fit.threshold.name: fit.detection for fit in measured.fits}
    injections = measured.given.injections
    values = {axis.name: injections.numbers(axis.name) for axis in measured.fits[0].detection.axes}
    title = ". ".join(filter(None, (f"p_det of {facts['model']}, {facts['model_digest']}", facts["note"])))
    (folder / EVALUATE).write_text(text_of(detections, title), encoding="utf-8")
    write_table(golden(detections, values), str(folder / GOLDEN))
    html = page.render(_contents(measured, maps, plots, pictured))
    (folder / REPORT).write_text(html, encoding="utf-8")
    facts = {**facts, "files": {name: digests.of_file(folder / name) for name in other_files(folder)}}
    text = json.dumps(facts, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")


def _contents(
    measured: Measured, maps: dict[str, Map], plots: dict[str, str], pictured: Pictured | None
) -> page.Contents:
    """What the report shows."""
    given = measured.given
    axes = measured.fits[0].detection.axes
    values = {axis.name: given.injections.numbers(axis.name) for axis in axes}
    small = (*TABLES_FOR_PEOPLE, "closure")
    return page.Contents(
        measured.facts,
        {name: table.to_pylist() for name, table in measured.tables.items() if name in small},
        page.ranges(axes, values),
        plots,
        {name: made.held for name, made in maps.items()},
        {name: slug(name) for name in maps},
        {} if pictured is None else {fit.threshold.name: _galleries(measured, fit, pictured) for fit in measured.fits},
        embedded=all(
            EMBEDDING in table.column_names
            for table in (given.injections.table, *([] if given.real is None else [given.real.table]))
        ),
    )


def _galleries(measured: Measured, fit: AtThreshold, pictured: Pictured) -> dict[str, list[dict[str, Any]]]:
    """Cards of the injections that are shown at a threshold."""
    given = measured.given
    table, survey = given.injections.table, given.survey
    radius, magnitude = (given.injections.numbers(axis.name) for axis in fit.detection.axes[:2])
    every = {axis.name: given.injections.numbers(axis.name) for axis in fit.detection.axes}
    shown = fit.kept & (pictured.place >= 0)
    p = np.full(len(shown), np.nan)
    p[shown] = fit.detection.predict({name: column[shown] for name, column in every.items()}).p
    columns = {
        "galaxy_id": table["galaxy_id"].to_pylist(),
        "theta_e": radius,
        "magnitude": magnitude,
        "magnification": given.injections.numbers("magnification"),
        "logit": given.injections.numbers("logit"),
        "p": p,
    }
    rows = pictures.chosen(fit.detected, p, magnitude, shown)
    return {name: pictures.cards(pictured, part, columns, survey) for name, part in rows.items()}
