"""Tables in the formats that astropy reads and writes: VOTable and ECSV, and FITS for output."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from lensctl.io.fits.tables import PROVENANCE, UNIT
from lensctl.io.provenance.steps import KEY
from lensctl.rules import schema as declared
from lensctl.rules.errors import InputError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, MemoryError, struct.error, ExpatError)
"""What damaged files make astropy raise."""

FORMS = {"int16": "I", "int32": "J", "int64": "K", "uint8": "B", "float32": "E", "float64": "D", "bool": "L"}
"""FITS column format of each data type."""


def from_votable(data: bytes) -> pa.Table:
    """The first table of a VOTable; columns of arrays are skipped. ValueError if it is damaged."""
    from astropy.io import votable

    def read() -> tuple[Any, str]:
        found = votable.parse_single_table(io.BytesIO(data))
        provenance = [info.value for info in found.infos if info.name == KEY.decode()]
        return found.to_table(use_names_over_ids=True), "".join(provenance[:1])

    return _read(read)


def from_ecsv(data: bytes) -> pa.Table:
    """The table of an ECSV file; columns of arrays are skipped. ValueError if it is damaged."""
    from astropy.io import ascii as text_tables

    return _read(lambda: (text_tables.read(data.decode(), format="ecsv"), ""))


def _read(read: Any) -> pa.Table:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _as_arrow(*read())
    except BROKEN as error:
        raise ValueError(first_line(error)) from error


def _as_arrow(table: Any, provenance: str) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    arrays, fields = [], []
    for name in table.colnames:
        column = table[name]
        values, mask = np.asarray(column), np.ma.getmaskarray(np.ma.asarray(column))
        if values.ndim != 1:
            continue
        if values.dtype.kind in "SUO":
            texts = (value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist())
            known = [None if hidden else text or None for text, hidden in zip(texts, mask, strict=True)]
            array = pa.array(known, pa.string())  # neither format tells an empty text from none
        else:
            array = pa.array(values.astype(values.dtype.newbyteorder("=")), mask=mask)
        unit = getattr(column, "unit", None)
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata={UNIT: str(unit)} if unit else None))
    return pa.table(arrays, schema=pa.schema(fields, {KEY: provenance.encode()} if provenance else None))


def to_votable(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: Any) -> None:
    """Write rows as a VOTable, with their provenance in an INFO of the table."""
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import Info
    from astropy.table import MaskedColumn, Table

    made = Table()
    for field, values, mask in _columns(schema, batches):
        made[field.name] = MaskedColumn(values, mask=mask, unit=_unit(field), dtype=values.dtype)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units that the standard does not list, such as nanomaggy
        document = from_table(made)
        if KEY in (schema.metadata or {}):
            document.get_first_table().infos.append(Info(name=KEY.decode(), value=schema.metadata[KEY].decode()))
        document.to_xml(buffer, tabledata_format="binary2")
    file.write(buffer.getvalue())


def to_fits(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: Any) -> None:
    """Write rows as a FITS table; a missing number is NaN or TNULL, a missing text is blank.

    Provenance is in the header, in CONTINUE cards.
    """
    import numpy as np
    from astropy.io import fits

    if len({name.lower() for name in schema.names}) < len(schema.names):
        raise InputError("two columns have the same name, but for case, which FITS cannot hold", "rename one of them")
    columns = []
    for field, values, mask in _columns(schema, batches):
        null = None
        if values.dtype.kind == "U":
            form = f"{max(1, values.dtype.itemsize // 4)}A"
            if not all(text.isascii() for text in values.tolist()):
                raise InputError(f"column '{field.name}' has letters that FITS cannot hold", "write parquet or .vot")
        else:
            form = FORMS[values.dtype.name]
        if mask.any() and values.dtype.kind == "b":
            raise InputError(
                f"column '{field.name}' is yes, no or null, which FITS cannot hold", "write parquet or .vot"
            )
        if mask.any() and values.dtype.kind in "iu":
            null = int(np.iinfo(values.dtype).min)
            if (values[~mask] == null).any():
                raise InputError(f"column '{field.name}' has nulls and {null}, FITS's mark of them", "write parquet")
            values = np.where(mask, null, values).astype(values.dtype)
        columns.append(fits.Column(field.name, form, unit=_unit(field), null=null, array=values))
    made, buffer = fits.BinTableHDU.from_columns(columns), io.BytesIO()
    if KEY in (schema.metadata or {}):
        made.header[PROVENANCE] = schema.metadata[KEY].decode()
    fits.HDUList([fits.PrimaryHDU(), made]).writeto(buffer)
    file.write(buffer.getvalue())


def _columns(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterable[tuple[pa.Field, Any, Any]]:
    """Each column as NumPy values of a type of `FORMS` or text, with a mask of its nulls, which are NaN, 0 or empty."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches(batches, schema)
    for field, column in zip(table.schema, table.columns, strict=True):
        mask = column.is_null().to_numpy()
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        try:
            if pa.types.is_boolean(kind):
                values = pc.fill_null(column, False).to_numpy().astype(bool)
            elif pa.types.is_floating(kind):
                wide = pa.float64() if kind == pa.float64() else pa.float32()
                values = np.asarray(pc.fill_null(column.cast(wide), float("nan")).to_numpy())
            elif pa.types.is_integer(kind):
                known = str(kind) if str(kind) in FORMS else "int16" if kind == pa.int8() else "int64"
                values = np.asarray(pc.fill_null(column.cast(pa.type_for_alias(known)), 0).to_numpy())
            else:
                values = np.array([text or "" for text in column.cast(pa.string()).to_pylist()], "U")
        except pa.ArrowException as error:
            raise InputError(f"column '{field.name}' is {field.type}, which is not written", "write parquet") from error
        yield field, values, mask


def _unit(field: pa.Field) -> str | None:
    known = declared.columns().get(field.name)
    return (known.unit if known else (field.metadata or {}).get(UNIT, b"").decode()) or None
