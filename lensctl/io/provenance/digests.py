"""Content digests: SHA-256 of data, independent of names, times and layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.rules.schema import NONDETERMINISTIC

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_BYTES = 1 << 22


def of_bytes(data: bytes) -> str:
    """Digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def of_file(path: str | Path) -> str:
    """Digest of a file's bytes."""
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def of_many(digests: Iterable[str]) -> str:
    """Digest of several digests, in the order given."""
    return of_bytes("\n".join(digests).encode())


def of_table(table: pa.Table) -> str:
    """Digest of a table's names, types and values; chunking, metadata and nondeterministic columns do not count."""
    digest = hashlib.sha256()
    for field in table.schema:
        if field.name not in NONDETERMINISTIC:
            digest.update(f"{field.name}:{_kind(field.type)}:{table.num_rows}\n".encode())
            for part in _column_bytes(table[field.name]):
                digest.update(part)
    return f"sha256:{digest.hexdigest()}"


def _kind(kind: pa.DataType) -> str:
    """A type's name; the name of the items of lists, which Parquet changes, does not count."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(kind):
        return f"list<{kind.value_type}>[{kind.list_size}]"
    return str(kind).replace("list<item: ", "list<element: ")


def _column_bytes(column: pa.ChunkedArray) -> Iterable[bytes | memoryview]:
    """Bytes that represent a column: which rows are null, then the values with nulls as zero."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    yield np.packbits(column.is_valid().to_numpy().astype(bool)).tobytes()
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        filled = pc.fill_null(column, "" if not pa.types.is_binary(kind) else b"")
        yield pc.binary_length(filled).to_numpy().astype("<i8").tobytes()
        for chunk in filled.cast(pa.large_binary()).chunks:
            offsets = np.frombuffer(chunk.buffers()[1], "<i8")[chunk.offset : chunk.offset + len(chunk) + 1]
            if len(chunk) and chunk.buffers()[2] is not None:
                yield memoryview(chunk.buffers()[2])[int(offsets[0]) : int(offsets[-1])]
    elif pa.types.is_fixed_size_list(kind):  # such as embeddings, too many numbers for JSON
        yield from _column_bytes(pa.chunked_array([chunk.flatten() for chunk in column.chunks], kind.value_type))
    elif pa.types.is_nested(kind):
        import json

        yield json.dumps(column.to_pylist(), default=str).encode()
    elif pa.types.is_null(kind):
        return
    else:
        if pa.types.is_temporal(kind):
            column = column.cast(pa.int64())
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.uint8())
        values = pc.fill_null(column, pa.scalar(0, column.type)).to_numpy()
        yield np.ascontiguousarray(values).tobytes()


def of_parquet(footers: Sequence[bytes]) -> str:
    """Digest of parquet files from their footers alone, for tables too big to read.

    A footer holds the schema, row counts, and size, offset, minimum and maximum of every column chunk, so it changes
    when a table is truncated, sorted, filtered or rewritten.
    """
    return "parquet-footer-" + of_many(hashlib.sha256(footer).hexdigest() for footer in footers)
