"""The folder of an evaluation: metrics.json, report.html, tables/ and plots/."""

from __future__ import annotations

import json
from pathlib import Path

from lensctl.evaluate.evaluation import Evaluation
from lensctl.evaluate.report import plots
from lensctl.evaluate.report.gallery import galleries_shown
from lensctl.evaluate.report.html import render
from lensctl.io.html import figures, pictures
from lensctl.io.tables.csv_dress import for_people
from lensctl.io.tables.files import write_table

PLOT_KINDS = ("png", "pdf")


def write(evaluation: Evaluation, folder: Path, read: pictures.Read | None, no_pictures: str = "") -> int:
    """Write an evaluation into an empty folder; reproducible byte for byte.

    Parameters
    ----------
    read : callable, optional
        Reads cutouts by row of the scores; without it the report shows `no_pictures` instead of pictures.

    Returns
    -------
    int
        Number of pictures in the report.
    """
    for name in ("tables", "plots"):
        (folder / name).mkdir()
    for name, table in sorted(evaluation.tables.items()):
        write_table(table, str(folder / "tables" / f"{name}.parquet"))
        write_table(for_people(table), str(folder / "tables" / f"{name}.csv"))
    plot_uris = {}
    for name in plots.PLOTS:
        figure = plots.draw(name, evaluation)
        for kind in PLOT_KINDS:
            (folder / "plots" / f"{name}.{kind}").write_bytes(figures.render(figure, kind))
        plot_uris[name] = pictures.data_uri(figures.render(figure, "svg"), "svg+xml")
    shown = {
        name: pictures.colour_pictures(read, part.row, part.survey)
        for name, part in galleries_shown(evaluation).items()
        if read
    }
    html = render(evaluation, plot_uris, shown, no_pictures)
    (folder / "report.html").write_text(html, encoding="utf-8")
    text = json.dumps(evaluation.metrics, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    return sum(map(len, shown.values()))
