"""Lens catalogues: lenscat's CSV, or any table with positions and grades, in a common form; and visual grades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.astro.lens_units import Lenses
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, chain_of, stamp, step_input
from lensctl.io.tables import units
from lensctl.io.tables.declared_types import fitted
from lensctl.io.tables.files import read_table
from lensctl.rules import schema
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

ALIASES = {
    "ra": ("ra", "ra [deg]", "raj2000", "ra_deg"),
    "dec": ("dec", "dec [deg]", "dej2000", "dec_deg"),
    "name": ("name", "names"),
    "grading": ("grading", "grade"),
    "ref": ("ref", "reference"),
}
TIERS = ("A", "B")
"""Grades accepted as positives."""

NO_LENS = "not"
"""Grade of inspected non-lenses, which do not exclude galaxies from the negatives."""

GRADES = (*TIERS, "C", NO_LENS)
_SPELLINGS = {grade.casefold(): grade for grade in GRADES} | {"confident": "A", "probable": "B"}


def grade_of(text: str | None) -> str | None:
    """The grade that a text says, in any case: A (or confident), B (or probable), C or not; None for any other."""
    return _SPELLINGS.get((text or "").strip().casefold())


def read_lens_catalog(path: str) -> pa.Table:
    """Read a lens catalogue as name, ra, dec, grading, ref, in row order; absent columns are null.

    Column names are case-insensitive, with or without a unit in brackets. lensctl's own positives are accepted too:
    their lens_ra, lens_dec become `ra`, `dec`.

    Raises
    ------
    InputError
        No position columns, or a position that is null, NaN or impossible.
    """
    import pyarrow as pa

    table = read_table(path)
    found = schema.folded(table.column_names, path)
    if {"lens_ra", "lens_dec"} <= set(found):
        found["ra"], found["dec"] = found["lens_ra"], found["lens_dec"]
    columns, of_columns = {}, units.given(table.schema)
    for wanted, names in ALIASES.items():
        actual = next((found[name] for name in names if name in found), None)
        if actual is not None:
            columns[wanted] = table[actual]
            if actual in of_columns:
                units.refuse_other({wanted: of_columns[actual]}, path)
    known = dict.fromkeys((*columns, *table.column_names))
    schema.require(pa.schema([(name, pa.null()) for name in known]), "ra", "dec", where=path)
    for axis in ("ra", "dec"):
        columns[axis] = fitted(columns[axis], pa.float64(), axis, path)
    for text in ("name", "grading", "ref"):
        values = columns.get(text)
        values = pa.nulls(table.num_rows) if values is None else values
        columns[text] = fitted(values, pa.string(), text, path)
    catalog = pa.table({name: columns[name] for name in ("name", "ra", "dec", "grading", "ref")})
    schema.refuse_bad_positions(catalog, where=path)
    chain = chain_of(table, path)
    return stamp(catalog, chain) if chain else catalog


def positions(paths: Sequence[str]) -> tuple[Lenses, tuple[Input, ...]]:
    """Every lens in some catalogues, and the catalogues as inputs.

    Includes every grade, and ungraded rows, but not inspected non-lenses.
    """
    import pyarrow as pa

    catalogs = [read_lens_catalog(path) for path in paths]
    sources = tuple(
        step_input("lenses", path, digests.of_table(catalog), chain_of(catalog, path))
        for path, catalog in zip(paths, catalogs, strict=True)
    )
    lenses = [c.filter(pa.array([grade_of(g) != NO_LENS for g in c["grading"].to_pylist()])) for c in catalogs]
    return Lenses(tuple(paths), tuple((c["ra"].to_numpy(), c["dec"].to_numpy()) for c in lenses)), sources


@dataclass(frozen=True)
class Grades:
    """Grades by galaxy_id, the table that has them, and the input that it is."""

    of: Mapping[str, str]
    table: pa.Table
    source: Input
    chain: Chain


def read_grades(path: str) -> Grades:
    """Read grades from a table with galaxy_id and grading, such as the CSV from a report; empty grades are skipped.

    Raises
    ------
    InputError
        Missing columns, a grade other than A, B, C or not, a galaxy with two grades, or no grades.
    """
    table = read_table(path)
    where = Path(path).name
    schema.require(table, "galaxy_id", "grading", where=where)
    schema.refuse_nulls(table, "galaxy_id", where=where)
    found: dict[str, str] = {}
    for row, (galaxy, given) in enumerate(
        zip(table["galaxy_id"].to_pylist(), table["grading"].to_pylist(), strict=True)
    ):
        text = str(given or "").strip()
        if not text:
            continue
        grade = grade_of(text)
        if grade is None:
            raise InputError(f"{where}: grading in row {row} is '{text}'", f"use one of {', '.join(GRADES)}")
        if found.setdefault(str(galaxy), grade) != grade:
            raise InputError(
                f"{where}: galaxy {galaxy} is graded {found[str(galaxy)]} and, in row {row}, {grade}",
                "keep one of them",
            )
    if not found:
        raise InputError(f"{where}: no grades in this file", "grade galaxies in report.html and download the CSV")
    chain = chain_of(table, path)
    return Grades(found, table, step_input("grades", path, digests.of_table(table), chain), chain)
