"""Columns of a table as NumPy arrays, whatever type and nulls they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A numeric column: (N,) float64, NaN where null; InputError if it is not numeric."""
    import pyarrow as pa

    try:
        return np.asarray(table[name].cast(pa.float64()).to_numpy(), float)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"column '{name}' is {table[name].type}, not a number", "store it as a number") from error


def texts(table: pa.Table, name: str) -> NDArray[np.str_]:
    """A column as text: (N,) text, empty where null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.fill_null(table[name].cast(pa.string()), "")
    return np.asarray(column.to_numpy().astype(str)) if len(column) else np.zeros(0, "U1")


def integers(table: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A column of integers: (N,) int64, and (N,) bool, False where null, NaN or fractional."""
    values = numbers(table, name)
    known = np.isfinite(values) & (values == np.round(values))
    return np.where(known, values, -1).astype(np.int64), known


def booleans(table: pa.Table, name: str) -> NDArray[np.bool_]:
    """A boolean column: (N,) bool, False where null; InputError if it is not boolean."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        column = pc.fill_null(table[name].cast(pa.bool_()), False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column '{name}' is {table[name].type}, not a boolean", "store it as true or false"
        ) from error
    return np.asarray(column.to_numpy(), bool)
