"""The `meta_*` of many .npz files as table columns, losslessly: dtypes, shapes and values are preserved.

A column's field metadata says under `numpy` what its values were: a dtype such as `<f8` or `<U32`; `U` or `S` for
strings exactly as long as their content; or `npy`, if files disagree or a value is not a simple scalar, and the column
holds each value's .npy bytes. Null means that the file had no such key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lensctl.io.cutouts import npz

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"numpy"
NPY = "npy"
_PLAIN = {f"{order}{kind}{width}" for order in "<|" for kind, width in (("f", 4), ("f", 8), ("b", 1))} | {
    f"{order}{kind}{width}" for order in "<|" for kind in "iu" for width in (1, 2, 4, 8)
}

Array = NDArray[Any]
Meta = Mapping[str, Array]


def table_of(metas: Sequence[Meta]) -> pa.Table:
    """One row per file and one column per key, in order of first appearance."""
    import pyarrow as pa

    keys = dict.fromkeys(key for meta in metas for key in meta)
    fields, columns = [], []
    for key in keys:
        values = [meta.get(key) for meta in metas]
        kinds = {_kind(value) for value in values if value is not None}
        kind = kinds.pop() if len(kinds) == 1 else NPY
        fields.append(_field(key, kind))
        columns.append(pa.array([None if v is None else _plain(v, kind) for v in values], fields[-1].type))
    return pa.table(columns, schema=pa.schema(fields)) if fields else pa.table({})


def metas_of(table: pa.Table) -> list[dict[str, Array]]:
    """The inverse of `table_of`, for files with at least one key.

    A column without this metadata comes from a table, and its values get the dtype nearest to its type.
    """
    kinds = [kind_of(field) for field in table.schema]
    columns = [table[name].to_pylist() for name in table.column_names]
    filled = list(zip(table.column_names, kinds, columns, strict=True))
    return [
        {name: _array(column[row], kind) for name, kind, column in filled if column[row] is not None}
        for row in range(table.num_rows)
    ]


def kind_of(field: pa.Field) -> str:
    """What a column's values were, from its field metadata, else from its type."""
    import pyarrow as pa

    noted = (field.metadata or {}).get(KEY)
    if noted:
        return str(noted.decode())
    if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
        return "U"
    if pa.types.is_boolean(field.type):
        return "|b1"
    return str(np.dtype(field.type.to_pandas_dtype()).str)


def joined(schemas: Iterable[pa.Schema]) -> list[pa.Field]:
    """Fields that can hold the columns of several tables: unchanged if all agree, else as .npy bytes."""
    kinds: dict[str, str] = {}
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            kind = kind_of(field)
            if kinds.setdefault(field.name, kind) != kind:
                kinds[field.name] = NPY
            fields.setdefault(field.name, field)
    return [field if kind_of(field) == kinds[name] else _field(name, NPY) for name, field in fields.items()]


def conform(table: pa.Table, fields: Sequence[pa.Field]) -> pa.Table:
    """A table's columns converted to other fields; null where it has none."""
    import pyarrow as pa

    columns = []
    for field in fields:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
        elif kind_of(table.schema.field(field.name)) == kind_of(field):
            columns.append(table[field.name].cast(field.type))
        else:
            kind = kind_of(table.schema.field(field.name))
            values = [v if v is None else npz.to_npy(_array(v, kind)) for v in table[field.name].to_pylist()]
            columns.append(pa.array(values, field.type))
    return pa.table(columns, schema=pa.schema(fields)) if fields else pa.table({})


def _field(name: str, kind: str) -> pa.Field:
    import pyarrow as pa

    if kind == NPY or kind.lstrip("|")[0] == "S":
        type = pa.binary()
    elif kind.lstrip("<")[0] == "U":
        type = pa.string()
    else:
        type = pa.from_numpy_dtype(np.dtype(kind))
    return pa.field(name, type, metadata={KEY: kind.encode()})


def _kind(value: Array) -> str:
    if value.ndim:
        return NPY
    name = value.dtype.str
    if name in _PLAIN:
        return name
    if value.dtype.kind == "U" and npz.text_in(value) is None:
        return NPY
    if value.dtype.kind in "US" and name[0] != ">":
        item = value.item()
        if np.asarray(item).tobytes() == value.tobytes():
            return value.dtype.kind
        if np.asarray(item, value.dtype).tobytes() == value.tobytes():
            return name
    return NPY


def _plain(value: Array, kind: str) -> Any:
    return npz.to_npy(value) if kind == NPY else value[()]


def _array(value: Any, kind: str) -> Array:
    if kind == NPY:
        return npz.from_npy(value)
    return np.asarray(value) if kind in ("U", "S") else np.asarray(value, kind)
