"""Tables: rows, schema with units and meanings, class counts, first rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of, survey_of
from lensctl.io.tables import sql
from lensctl.io.tables.files import read_table
from lensctl.io.tables.parquet import parquet_dataset
from lensctl.io.tables.paths import format_of, readable
from lensctl.io.unpacking import read_parquet_dataset, sound
from lensctl.rules import schema
from lensctl.rules.errors import shortened
from lensctl.show.description import Description, Rows, as_text, counted

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.rules.survey import Survey

LONGEST_CELL = 18
DIGESTED_ROWS = 1_000_000
"""Larger tables are not read to compute a digest."""


def classes_of(survey: Survey) -> tuple[str, ...]:
    """Columns whose values are counted."""
    of_row = ("label", "tier", "split", "pool", "confuser_category", "type")
    return (*of_row, survey.nobs_bin, "status", "cutout_ok", "grading")


def table_facts(path: str, head: int, where: str = "", format: str | None = None) -> Description:
    """A table; of a large one only the necessary parts are read.

    Parameters
    ----------
    head : int
        Rows to show.
    where : str
        SQL condition for the rows to show; matching rows are also counted.
    """
    kind = format_of(path, format)
    if path != "-" and kind == "parquet":
        with readable(path):
            found = parquet_dataset(path)
            columns = found.schema
            rows = found.count_rows()
            table = read_parquet_dataset(found) if rows <= DIGESTED_ROWS else None
            names = classes_of(survey_of(chain_of(columns, path)))
            classes = read_parquet_dataset(found, [name for name in names if name in columns.names])
            first = sound(found.head(head)) if table is None else table.slice(0, head)
    else:
        table = read_table(path, format=format, allow_empty=True)
        columns, rows, classes, first = table.schema, table.num_rows, table, table.slice(0, head)
    values: dict[str, Any] = {"rows": rows, "columns": len(columns), "format": kind}
    if table is not None:
        values["digest"] = digests.of_table(table)
    if where:
        whole = read_table(path, format=format) if table is None else table
        matching = sql.rows_that(whole, where)
        values["matching"] = len(matching)
        first = whole.take(matching[:head])
    chain = chain_of(columns, path)
    survey = survey_of(chain)
    counts = {name: counted(classes[name].to_pylist()) for name in classes_of(survey) if name in classes.column_names}
    listings = [_columns(columns, survey), _first(first)]
    if counts:
        listings.insert(0, Rows("Classes", ("column", "rows"), _counts(counts)))
    listed = schema.describe(columns.names, survey)
    details = {
        "schema": [
            {"name": name, "type": str(columns.field(name).type), "unit": unit, "meaning": meaning}
            for name, _, unit, meaning in listed
        ],
        "counts": counts,
        "head": first.to_pylist(),
    }
    return Description("table", values, listings, details, chain)


def _counts(counts: dict[str, dict[str, int]]) -> list[tuple[str, str]]:
    return [(name, as_text(values)) for name, values in counts.items()]


def _columns(columns: pa.Schema, survey: Survey) -> Rows:
    """One row per column: type, unit and meaning."""
    described = schema.describe(columns.names, survey)
    rows = [(name, str(columns.field(name).type), unit, meaning) for name, _, unit, meaning in described]
    return Rows("Columns", ("column", "type", "unit", "meaning"), rows)


def _first(first: pa.Table) -> Rows:
    """One row per column: its first values."""
    rows = [(name, *map(_cell, first[name].to_pylist())) for name in first.column_names]
    return Rows("First rows", ("column", *(f"row {i}" for i in range(first.num_rows))), rows if first.num_rows else [])


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return shortened(text, LONGEST_CELL)
