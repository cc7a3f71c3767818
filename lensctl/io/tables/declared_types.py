"""Values of any file as the types that columns are declared to have: cast in one place, before anything is computed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def conform(table: pa.Table, where: str = "", survey: Survey = LS_DR10) -> pa.Table:
    """The table with every known column cast to its declared type, as `fitted` does.

    Raises InputError naming the first row whose value does not fit.
    """
    import pyarrow as pa

    for i, field in enumerate(table.schema):
        if field.name in schema.columns(survey) and field.type != (wanted := schema.arrow_type(field.name, survey)):
            values = fitted(table[field.name], wanted, field.name, where, survey)
            table = table.set_column(i, pa.field(field.name, wanted), values)
    return table


def fitted(
    values: pa.Array | pa.ChunkedArray,
    wanted: pa.DataType,
    name: str,
    where: str = "",
    survey: Survey = LS_DR10,
    rows: Sequence[int] | NDArray[np.int64] | None = None,
) -> pa.Array | pa.ChunkedArray:
    """Values cast to a type, if they are that without loss: 3.0 is an integer, '3' a number, b'a' a text.

    Text loses blanks around it, and empty text is null; NaN is no integer, so it is null too.

    Parameters
    ----------
    name, where : str
        Column and file for messages.
    rows : (N,) int, optional
        Row number of each value; from 0 if not given.

    Raises
    ------
    InputError
        A value does not fit; the message names it and its row.
    """
    import pyarrow as pa

    try:
        return _cast(values, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        declared = schema.columns(survey).get(name)
        what, example = f"{where}: column '{name}' is {values.type}".removeprefix(": "), ""
        if isinstance(error, pa.ArrowInvalid):
            first = _first_unfit(values, wanted)
            example = f" {values[first]} in row {first if rows is None else rows[first]}"
        raise InputError(
            f"{what}, and{example} does not fit {wanted}",
            f"give it as {declared.unit or declared.type}: {declared.meaning}" if declared else f"give it as {wanted}",
        ) from error


def _cast(values: pa.Array | pa.ChunkedArray, wanted: pa.DataType) -> pa.Array | pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if _is_text(values.type):
        values = _stripped(values)
        if pa.types.is_boolean(wanted):
            values = pc.utf8_lower(values)
            for letter, word in (("t", "true"), ("f", "false")):  # as FITS has them
                values = pc.if_else(pc.equal(values, letter), word, values)
        elif pa.types.is_integer(wanted):
            with contextlib.suppress(pa.ArrowInvalid):
                return values.cast(wanted)
            values = values.cast(pa.float64())  # such as 3.0 and nan
    if pa.types.is_floating(values.type) and not pa.types.is_floating(wanted):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        if pa.types.is_string(wanted):
            values = values.cast(pa.int64())
    return values.cast(wanted)


def _first_unfit(values: pa.Array | pa.ChunkedArray, wanted: pa.DataType) -> int:
    """Row of the first value that cannot be cast, of values that can not."""
    import pyarrow as pa

    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _cast(values.slice(low, middle - low), wanted)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    of = pa.types
    tests = (of.is_string, of.is_large_string, of.is_binary, of.is_large_binary, of.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _stripped(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Text without blanks around it; null where nothing is left."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.binary())
    text = pc.ascii_trim(values.cast(pa.string()), " \t\r\n\0")
    empty = pc.equal(text, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), text) if pc.any(empty).as_py() else text
