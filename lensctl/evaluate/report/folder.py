"""The folder of an evaluation: metrics.json, report.html, tables/ and plots/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.evaluate.evaluation import Evaluation
from lensctl.evaluate.report import plots
from lensctl.evaluate.report.gallery import galleries_shown
from lensctl.evaluate.report.html import render
from lensctl.io.html import figures, pictures
from lensctl.io.tables.files import write_table

if TYPE_CHECKING:
    import pyarrow as pa

PLOT_KINDS = ("png", "pdf")
FORMULA = r"^[=@+\-\t\r]"
"""What makes a spreadsheet compute a cell of text."""


def for_people(table: pa.Table) -> pa.Table:
    """A table whose texts no spreadsheet takes for a formula: they begin with ' where they would begin with = @ + or -.

    Only for CSV that people open. The parquet beside it, and CSV that a command writes as its output, hold the data as
    they are, because other commands read them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = table.column(place)
            computed = pc.match_substring_regex(column, FORMULA)
            quoted = pc.replace_substring_regex(column, "^", "'", max_replacements=1)
            table = table.set_column(place, field, pc.if_else(computed, quoted, column))
    return table


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
