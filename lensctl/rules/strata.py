"""Strata: which columns divide a table, by the values that count or by the edges of bins; in Python and in SQL."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.rules import schema
from lensctl.rules.bins import NOBS_Z_BINS
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

ALIASES = {"nobs_z": "nobs_z_bin"}


@dataclass(frozen=True)
class Division:
    """One column that divides: text by its values, numbers by bins.

    Parameters
    ----------
    column : str
    values : tuple of str
        The values that count; empty: every value.
    edges : tuple of float
        Edges of the bins of a number, lower included, upper not; empty for text.
    """

    column: str
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Name of the stratum column: a number's has the ending _bin."""
        return f"{self.column}_bin" if self.edges else self.column

    @property
    def sql(self) -> str:
        """The stratum of a row, for DuckDB and Spark; null where it has none."""
        if not self.edges:
            return self.column
        number = f"CAST({self.column} AS DOUBLE)"
        cases = " ".join(
            f"WHEN {number} >= {low:.17e} AND {number} < {high:.17e} THEN '{label}'"
            for label, (low, high) in zip(self._labels, itertools.pairwise(self.edges), strict=True)
        )
        return f"CASE WHEN isnan({number}) THEN NULL {cases} END"  # or DuckDB trusts parquet's statistics, without NaN

    @property
    def _labels(self) -> list[str]:
        return [f"{low:g} to {high:g}" for low, high in itertools.pairwise(self.edges)]

    def of(self, table: pa.Table) -> list[str | None]:
        """The stratum of each row of a table; None where it has none."""
        import numpy as np

        given = table[self.column]
        if not self.edges:
            return [value if not self.values or value in self.values else None for value in given.to_pylist()]
        numbers = given.cast("double").to_numpy()
        place = np.searchsorted(self.edges, numbers, side="right")  # NaN comes after every edge
        return [([None, *self._labels, None])[i] for i in place]

    def __str__(self) -> str:
        return f"{self.name} in {', '.join(self._labels if self.edges else self.values) or 'any value'}"


def parse_strata(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Columns and what was said of each, from `column=a,b,c` texts; `nobs_z` means `nobs_z_bin`.

    Raises InputError for an nobs_z bin that does not exist, or a value that cannot stand in SQL.
    """
    said = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = ALIASES.get(name.strip(), name.strip())
        said[name] = tuple(value.strip() for value in values.split(",") if value.strip())
        for value in said[name]:
            if name == "nobs_z_bin" and value not in NOBS_Z_BINS:
                raise InputError(
                    f"no nobs_z bin '{value}'{nearest(value, NOBS_Z_BINS)}",
                    f"use {', '.join(NOBS_Z_BINS)}",
                )
            if not re.fullmatch(r"[\w .+-]+", value):
                raise InputError(f"'{value}' cannot be the value of a stratum", "use letters, digits, and . + - _")
    return said


def divisions(said: Mapping[str, tuple[str, ...]], columns: pa.Schema, where: str) -> tuple[Division, ...]:
    """What `read` gave, for a table of these columns: text by values, numbers by edges.

    Raises InputError for a column that is missing, or a number without two ascending edges.
    """
    import pyarrow as pa

    schema.require(columns, *said, where=where)
    made = []
    for name, values in said.items():
        kind = columns.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            made.append(Division(name, values))
            continue
        try:
            edges = tuple(float(value) for value in values)
        except ValueError:
            edges = ()
        if len(edges) < 2 or list(edges) != sorted(set(edges)) or not all(map(math.isfinite, edges)):
            raise InputError(
                f"column '{name}' holds numbers, and '{','.join(values)}' are not the edges of bins",
                f"give two or more, ascending, such as {name}=18,19,20",
            )
        made.append(Division(name, edges=edges))
    return tuple(made)


def strata_of(table: pa.Table, by: Sequence[Division]) -> list[tuple[str, ...] | None]:
    """The stratum of each row of a table; None where any column has none."""
    rows = zip(*(division.of(table) for division in by), strict=True)
    return [None if None in row else tuple(map(str, row)) for row in rows]
