"""Strata: columns that divide a table, by value or by bins of a number; in Python and in SQL."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.rules import schema
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

NOBS_BINS = ("1-2", "3-5", "6-10", "11+")
"""Bins of the number of exposures in the depth band."""

_NOBS_EDGES = (1, 3, 6, 11)


def nobs_bin(nobs: ArrayLike) -> NDArray[np.object_]:
    """Bin of the number of exposures: (N,) in, (N,) text out; None below one exposure, and where it is NaN."""
    import numpy as np

    names = np.array([None, *NOBS_BINS, None], dtype=object)
    edges = (*_NOBS_EDGES, np.inf)  # NaN sorts after every edge
    return names[np.searchsorted(edges, np.asarray(nobs), side="right")]


@dataclass(frozen=True)
class Division:
    """One stratum column: text divided by value, numbers by bins.

    Parameters
    ----------
    column : str
    values : tuple of str
        The values used; empty for every value.
    edges : tuple of float
        Bin edges of a numeric column, lower inclusive, upper exclusive; empty for text.
    """

    column: str
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Name of the stratum column: with the suffix _bin for a numeric column."""
        return f"{self.column}_bin" if self.edges else self.column

    def sql(self, column: str) -> str:
        """SQL expression of the stratum of a row with this column, for DuckDB and Spark; null if it has none."""
        if not self.edges:
            return f"CAST({column} AS STRING)"
        number = f"CAST({column} AS DOUBLE)"
        cases = " ".join(
            f"WHEN {number} >= {low:.17e} AND {number} < {high:.17e} THEN '{label}'"
            for label, (low, high) in zip(self._labels, itertools.pairwise(self.edges), strict=True)
        )
        return f"CASE WHEN isnan({number}) THEN NULL {cases} END"  # parquet statistics, which DuckDB uses, omit NaN

    @property
    def _labels(self) -> list[str]:
        return [f"{low:g} to {high:g}" for low, high in itertools.pairwise(self.edges)]

    def of(self, table: pa.Table) -> list[str | None]:
        """The stratum of each row of a table; None if it has none."""
        import numpy as np

        column = table[self.column]
        if not self.edges:
            texts = [_text_of(value) for value in column.to_pylist()]
            return [text if not self.values or text in self.values else None for text in texts]
        numbers = column.cast("double").to_numpy()
        bins = np.searchsorted(self.edges, numbers, side="right")  # NaN sorts after every edge
        return [([None, *self._labels, None])[i] for i in bins]

    def __str__(self) -> str:
        return f"{self.name} in {', '.join(self._labels if self.edges else self.values) or 'any value'}"


def _text_of(value: object) -> str | None:
    """A value as SQL casts it to text."""
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def text_sql(text: str) -> str:
    """A text as a literal that DuckDB, Spark and Postgres read alike, whatever characters are in it."""
    if not re.search(r"['\\]", text):
        return f"'{text}'"
    parts = [part for part in re.split(r"(['\\])", text) if part]
    quoted = (f"chr({ord(part)})" if part in "'\\" else f"'{part}'" for part in parts)
    return f"concat({', '.join(quoted)})"


def parse_strata(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Stratum columns and their values or edges, from `column=a,b,c` texts; `nobs_z` means `nobs_z_bin`.

    Raises InputError for an unknown bin of exposures.
    """
    parsed = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = re.sub(r"^(nobs_[A-Za-z0-9]+)$", r"\1_bin", name.strip())
        parsed[name] = tuple(value.strip() for value in values.split(",") if value.strip())
        for value in parsed[name]:
            if re.fullmatch(r"nobs_[A-Za-z0-9]+_bin", name) and value not in NOBS_BINS:
                raise InputError(
                    f"no {name.removesuffix('_bin')} bin '{value}'{nearest(value, NOBS_BINS)}",
                    f"use {', '.join(NOBS_BINS)}",
                )
    return parsed


def divisions(by: Mapping[str, tuple[str, ...]], columns: pa.Schema, where: str) -> tuple[Division, ...]:
    """Result of `parse_strata` applied to a table of these columns: text by value, numbers by bin edges.

    Raises InputError for a missing column, one that cannot divide, or a numeric one without two ascending edges.
    """
    import pyarrow as pa

    schema.require(columns, *by, where=where)
    result = []
    for name, values in by.items():
        kind = columns.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        of = pa.types
        if of.is_string(kind) or of.is_large_string(kind) or of.is_boolean(kind) or of.is_date(kind):
            result.append(Division(name, values))
            continue
        if not (of.is_integer(kind) or of.is_floating(kind) or of.is_decimal(kind)):
            raise InputError(f"{where}: column '{name}' is {kind}, which cannot divide", "use text, numbers or dates")
        try:
            edges = tuple(float(value) for value in values)
        except ValueError:
            edges = ()
        if len(edges) < 2 or list(edges) != sorted(set(edges)) or not all(map(math.isfinite, edges)):
            raise InputError(
                f"column '{name}' is numeric, and '{','.join(values)}' are not bin edges",
                f"give two or more ascending edges, such as {name}=18,19,20",
            )
        result.append(Division(name, edges=edges))
    return tuple(result)


def strata_of(table: pa.Table, by: Sequence[Division]) -> list[tuple[str, ...] | None]:
    """The stratum of each row of a table; None if any column has none."""
    rows = zip(*(division.of(table) for division in by), strict=True)
    return [None if None in row else tuple(map(str, row)) for row in rows]
