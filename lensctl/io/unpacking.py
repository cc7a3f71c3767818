"""Unpacking what a few bytes can swell without end: compressed data and the repeated texts of parquet and Arrow.

Sizes are known beforehand, from what the data must be; whatever would be larger is refused before it fills the memory.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lensctl.rules.config import json_value

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset
    import pyarrow.parquet as pq

GZIP, DEFLATE = 31, -15
"""Formats of compressed data, as zlib numbers them."""

MOST_BRACKETS = 100
"""Of a JSON line that need not be looked at more closely."""

ROOM_BYTES = 16 << 20
TEXT_BYTES, BINARY_BYTES = 4 << 10, 64 << 10
"""Most bytes of a column: this room, and so many a row of text, of binary values or of anything else."""


def inflated(data: bytes | memoryview, size: int, format: int = GZIP) -> bytes:
    """Compressed data as `size` bytes; ValueError if it is damaged or of another size."""
    stream = zlib.decompressobj(format)
    try:
        found = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError(f"damaged compressed data ({error})") from error
    if len(found) != size or not stream.eof:
        raise ValueError(f"compressed data is not of {size} bytes")
    return found


def refuse_broken(data: bytes, most: int) -> None:
    """Raise ValueError unless gzipped data is whole, and unpacks to at most so many bytes."""
    stream = zlib.decompressobj(GZIP)
    with gunzipping():
        found = stream.decompress(data, most + 1)
    if len(found) > most or not stream.eof:
        raise ValueError("compressed data is cut short, or swells")


@contextmanager
def gunzipping() -> Iterator[None]:
    """Turn what damaged gzip makes Python raise into ValueError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"damaged compressed data ({error})") from error


def read_parquet_file(file: Any, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of one open parquet file, or some columns of it; ValueError if it would swell."""
    import pyarrow.parquet as pq

    footer = pq.read_metadata(file)
    file.seek(0)
    repeated = _repeated([footer])
    table = pq.read_table(file, columns=columns, read_dictionary=repeated)
    return without_repeats(sound(table), repeated)


def read_parquet_dataset(found: pyarrow.dataset.FileSystemDataset, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a dataset of parquet files, or some columns of it; ValueError if it would swell."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    wanted = list(found.schema.names) if columns is None else list(columns)
    fragments = list(found.get_fragments())
    of_folders = {name for fragment in fragments for name in ds.get_partition_keys(fragment.partition_expression)}
    repeated = [name for name in _repeated(fragment.metadata for fragment in fragments) if name not in of_folders]
    fields = [f.with_type(pa.dictionary(pa.int32(), f.type)) if f.name in repeated else f for f in found.schema]
    schema = pa.schema(fields, found.schema.metadata)
    as_stored = ds.ParquetFileFormat(dictionary_columns=set(repeated))
    files = [
        as_stored.make_fragment(f.path, f.filesystem, f.partition_expression, [group.id for group in f.row_groups])
        for f in fragments
    ]
    read = ds.FileSystemDataset(files, schema, as_stored, found.filesystem)
    return without_repeats(sound(read.to_table(columns=wanted)), repeated)


def sound(table: pa.Table) -> pa.Table:
    """The table, once all its buffers have been compared with what it says of them; ValueError if they do not fit.

    Arrow takes offsets, numbers of a dictionary and texts as they are written, and a wrong one ends the process later.
    """
    table.validate(full=True)
    for field in table.schema:  # names and metadata are not validated
        for name, value in {field.name.encode(): b"", **(field.metadata or {})}.items():
            (name + value).decode()
    return table


def without_repeats(table: pa.Table, names: Sequence[str] = ()) -> pa.Table:
    """A table with the dictionaries of some columns written out; ValueError if any dictionary of texts would swell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        if not pa.types.is_dictionary(field.type):
            continue
        kind = field.type.value_type
        if _is_text(kind):
            chunks = (chunk for chunk in table.column(place).chunks if len(chunk))
            lengths = (pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)) for chunk in chunks)
            _refuse_swollen(field.name, kind, sum(length.as_py() or 0 for length in lengths), table.num_rows)
        if field.name in names:
            table = table.set_column(place, field.with_type(kind), table.column(place).cast(kind))
    return table


def refuse_nested(lines: bytes) -> None:
    """Raise ValueError for JSON lines that nest without end: Arrow's parser has no bound, and would end the process."""
    for line in io.BytesIO(lines):
        if line.count(b"[") + line.count(b"{") > MOST_BRACKETS:
            json_value(line)


def _repeated(footers: Iterable[pq.FileMetaData]) -> list[str]:
    """Columns of texts, which are read as numbers of a dictionary; ValueError if a row group as stored is swollen.

    Only what is said of a whole row group is asked for: Arrow ends the process if what is said of a column is damaged.
    """
    found: dict[str, None] = {}
    for footer in footers:
        kinds = {field.name: field.type for field in footer.schema.to_arrow_schema()}
        for group in map(footer.row_group, range(footer.num_row_groups)):
            room = sum(_most_bytes(kind, group.num_rows) for kind in kinds.values())
            if group.total_byte_size > room:
                raise ValueError(f"columns would take {group.total_byte_size / 1e9:.1f} GB in {group.num_rows} rows")
        found |= {name: None for name, kind in kinds.items() if _is_text(kind)}
    return list(found)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _refuse_swollen(name: str, kind: pa.DataType, size: int, rows: int) -> None:
    if size > _most_bytes(kind, rows):
        raise ValueError(f"column '{name}' would take {size / 1e9:.1f} GB in {rows} rows")


def _most_bytes(kind: pa.DataType, rows: int) -> int:
    import pyarrow as pa

    is_string = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return ROOM_BYTES + rows * (TEXT_BYTES if is_string else BINARY_BYTES)
