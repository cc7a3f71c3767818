"""The columns of a survey's tables, and what a table must have of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from lensctl.rules.columns.column import Column
from lensctl.rules.columns.galaxies import DERIVED, HOST, IDENTITY, MEASURED, POSITIVE
from lensctl.rules.columns.lenses import DETECTED, INJECTED, KNOWN, POPULATION, TRUTH
from lensctl.rules.columns.results import CUTOUT, MANIFEST, OBSERVED, SCORED, SEARCHED
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa


_TEMPLATES = (*IDENTITY, *MEASURED, *DERIVED, *POSITIVE, *HOST, *CUTOUT, *MANIFEST, *SCORED, *SEARCHED, *OBSERVED)
_WRITTEN = (*INJECTED, *POPULATION, *DETECTED, *KNOWN, *TRUTH)
"""Columns of tables that lensctl makes; in others such names mean what they like, and are not cast."""


@functools.lru_cache(maxsize=8)
def columns(survey: Survey = LS_DR10) -> Mapping[str, Column]:
    """All columns of a survey by name, in the order in which tables have them."""
    return _named(_TEMPLATES, survey)


@functools.lru_cache(maxsize=8)
def _written(survey: Survey) -> Mapping[str, Column]:
    return {**_named(_WRITTEN, survey), **columns(survey)}


def _named(templates: Iterable[Column], survey: Survey) -> dict[str, Column]:
    filled = (_filled(template, roles) for template in templates for roles in _roles(template, survey))
    return {column.name: column for column in filled}


def _roles(template: Column, survey: Survey) -> Iterator[dict[str, str]]:
    """What the roles in a column's name stand for, once for each column it makes."""
    if "{band}" in template.name:
        yield from ({"band": band} for band in survey.bands)
    elif "{bluest}" in template.name:
        bluest, second = survey.colours[0]
        yield {"bluest": bluest, "second": second}
    elif "{bluer}" in template.name:
        yield from ({"bluer": bluer, "redder": redder} for bluer, redder in survey.colours)
    else:
        yield {"depth": survey.depth_band}


def _filled(template: Column, roles: Mapping[str, str]) -> Column:
    return Column(template.name.format(**roles), template.type, template.meaning.format(**roles), template.unit)


NONDETERMINISTIC = ("downloaded_at", "attempts", "seconds", "meta_download_timestamp")
"""The only columns and keys that differ from run to run; digests leave them out."""


def arrow_type(name: str, survey: Survey = LS_DR10) -> pa.DataType:
    """Declared Arrow type of a column."""
    import pyarrow as pa

    return pa.type_for_alias(columns(survey)[name].type)


def folded(names: Iterable[str], where: str = "") -> dict[str, str]:
    """Names by what they are to lensctl and to SQL: without blanks around them, in lower case.

    Raises InputError for two names that are one.
    """
    found: dict[str, str] = {}
    for name in names:
        key = name.strip().lower()
        if key in found:
            same = found[key] == name
            one = f"column '{name}' occurs more than once" if same else f"columns '{found[key]}' and '{name}' are one"
            raise InputError(f"{_at(where)}{one}", "keep one of them")
        found[key] = name
    return found


def require(table: pa.Table | pa.Schema, *names: str, where: str = "", survey: Survey = LS_DR10) -> None:
    """Raise InputError naming the missing columns, the columns found, and the type expected."""
    found = _names(table)
    missing = [name for name in names if name not in found]
    if not missing:
        return
    shown = ", ".join(found[:12]) + (", …" if len(found) > 12 else "")
    plural, are = ("s", "are") if len(missing) > 1 else ("", "is")
    listed = ", ".join(f"'{name}'" for name in missing)
    first = columns(survey).get(missing[0])
    what = f" as {first.type}: {first.meaning}" if first else ""
    raise InputError(
        f"{_at(where)}column{plural} {listed} {are} missing{nearest(missing[0], found)} (found: {shown})",
        f"add {missing[0]}{what}",
    )


def refuse_nulls(table: pa.Table, *names: str, where: str = "") -> None:
    """Raise InputError naming the first column with a null or NaN, how many, and the first such row."""
    import pyarrow.compute as pc

    for name in names:
        bad = pc.is_null(table[name], nan_is_null=True)
        count = pc.sum(bad).as_py() or 0
        if count:
            first = pc.index(bad, True).as_py()
            raise InputError(
                f"{_at(where)}column '{name}' is null or NaN in {count} rows, first in row {first}",
                "repair or drop those rows",
            )


def require_numbers(table: pa.Table, *names: str, where: str = "") -> None:
    """Raise InputError for a column that is not numeric."""
    import pyarrow as pa

    for name in names:
        kind = table.schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise InputError(f"{_at(where)}column '{name}' is {kind}, not a number", "it must be numeric")


def refuse_bad_positions(table: pa.Table, where: str = "") -> None:
    """Raise InputError for a null, NaN or out-of-range `ra`, `dec` (degrees), naming the first such row."""
    import pyarrow.compute as pc

    refuse_nulls(table, "ra", "dec", where=where)
    require_numbers(table, "ra", "dec", where=where)
    for name, low, high in (("ra", 0, 360), ("dec", -90, 90)):
        bad = pc.or_(pc.less(table[name], low), pc.greater(table[name], high))
        count = pc.sum(bad).as_py() or 0
        if count:
            row = pc.index(bad, True).as_py()
            raise InputError(
                f"{_at(where)}{name} = {table[name][row].as_py()} in row {row} is outside {low} to {high} degrees",
                f"give {name} in degrees, ICRS",
            )


def refuse_duplicates(table: pa.Table, name: str = "galaxy_id", where: str = "") -> None:
    """Raise InputError naming some values that occur in more than one row."""
    import pyarrow.compute as pc

    counts = pc.value_counts(table[name])
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").sort()
    if len(twice):
        some = ", ".join(str(value) for value in twice[:3].to_pylist())
        raise InputError(
            f"{_at(where)}{len(twice)} values of '{name}' occur in more than one row: {some}", "keep one of each"
        )


def _names(table: pa.Table | pa.Schema) -> list[str]:
    return list(table.column_names if hasattr(table, "column_names") else table.names)


def _at(where: str) -> str:
    return f"{where}: " if where else ""


def describe(names: Iterable[str], survey: Survey = LS_DR10) -> list[tuple[str, str, str, str]]:
    """Name, type, unit and meaning of columns, for people; empty for unknown columns."""
    unknown = Column("", "", "")
    return [(name, (c := _written(survey).get(name, unknown)).type, c.unit, c.meaning) for name in names]
