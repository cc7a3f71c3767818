"""What is known of a table before its rows are read, and how single rows of it are named and read unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables import units
from lensctl.io.tables.declared_types import fitted
from lensctl.io.tables.parquet import ParquetFile, common_columns, parquet_files
from lensctl.io.tables.paths import filesystem_of, readable
from lensctl.rules.errors import InputError
from lensctl.rules.schema import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

FILE, ROW = "__lensctl_file", "__lensctl_row"
"""Columns that say which row of which file a row is, under names that no table has."""


class ScannedTable:
    """A table registered under a name, which DuckDB reads in place without loading it.

    Attributes
    ----------
    schema : pa.Schema
        Its columns, with the metadata of the first file.
    digest : str
        Of the parquet footers; of the content for streams and other formats.
    chain : Chain
        Its provenance.
    rows : int
    files : tuple of ParquetFile
        Its parquet files; empty if it is in memory.
    """

    def __init__(
        self, schema: pa.Schema, digest: str, rows: int, where: str, files: Sequence[ParquetFile] = ()
    ) -> None:
        self.schema = schema
        self.digest = digest
        self.rows = rows
        self.files = tuple(files)
        self.chain = chain_of(schema, where)


def scan_parquet(path: str, *, allow_empty: bool = False) -> ScannedTable:
    """Describe the parquet files at a path, from their footers.

    Raises InputError if there are none, one is incomplete, a column is in another unit than lensctl reads it in, or
    (unless `allow_empty`) they have no rows.
    """
    files = parquet_files(path)
    footers, rows = _footers([file.path for file in files])
    schema = common_columns(files)
    if rows == 0 and not allow_empty:
        raise InputError(f"{path}: the table has no rows", "check the step that made it")
    units.refuse_other(units.given(schema), path)
    return ScannedTable(schema, digests.of_parquet(footers), rows, path, files)


def counted(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Pass batches through; InputError at the end if the number of rows is wrong."""
    count = 0
    for batch in batches:
        count += batch.num_rows
        yield batch
    if count != rows:
        raise InputError(f"{rows} rows should have been drawn, but {count} were", "is the table being written?")


def with_columns(table: pa.Table, others: pa.Table) -> pa.Table:
    """A table with others' columns behind its own, in place of those of the same names; ids are text."""
    for name in others.column_names:
        table = table.drop_columns([name]) if name in table.column_names else table
        table = table.append_column(name, others[name])
    place = table.column_names.index("galaxy_id")
    ids = fitted(table["galaxy_id"], arrow_type("galaxy_id"), "galaxy_id")
    return table.set_column(place, "galaxy_id", ids)


def _footers(files: list[str]) -> tuple[list[bytes], int]:
    """Footers of parquet files, and their total number of rows."""
    import pyarrow.parquet as pq

    filesystem, names = filesystem_of(files)
    footers, rows = [], 0
    for file, name in zip(files, names, strict=True):
        with readable(file), filesystem.open_input_file(name) as source:
            size = source.size()
            if size < 12:
                raise InputError(f"{file}: not a complete parquet file", "make it again")
            source.seek(size - 8)
            length = int.from_bytes(source.read(4), "little")
            source.seek(max(0, size - 8 - length))
            footers.append(source.read(length))
            source.seek(0)
            rows += pq.read_metadata(source).num_rows
    return footers, rows
