"""Which rows of a table are positives and which negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1
NAMES = {POSITIVE: "positives", NEGATIVE: "negatives"}


def labels_of(table: pa.Table) -> NDArray[np.int8]:
    """Class of each row: (N,) int8, 1 positive, 0 negative, -1 unknown.

    Taken from `label`; in a table without it, tier A or B is positive, and pool or tier N1 or N2 is negative.
    """
    columns = table.column_names
    if "label" in columns:
        label = numbers(table, "label")
        return np.select([label == 1, label == 0], [POSITIVE, NEGATIVE], UNKNOWN).astype(np.int8)
    labels = np.full(table.num_rows, UNKNOWN, np.int8)
    for name in ("pool", "tier"):
        if name in columns:
            text = texts(table, name)
            labels[np.isin(text, ("N1", "N2"))] = NEGATIVE
            labels[np.isin(text, ("A", "B"))] = POSITIVE
    return labels


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


def usable(manifest: pa.Table) -> pa.Table:
    """Rows usable for training: good cutout, label 0 or 1."""
    import pyarrow as pa

    return manifest.filter(pa.array(booleans(manifest, "cutout_ok") & (labels_of(manifest) != UNKNOWN)))
