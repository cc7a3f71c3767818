"""Streamed parquet output, as one file or a folder of hive partitions; the provenance is added at the end.

Rows keep their order within a partition, and files are split by row count only: the same rows give the same bytes,
however they were batched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lensctl.io.provenance.steps import Chain, metadata_of
from lensctl.io.tables.files import ROW_GROUP_ROWS, parquet_writer
from lensctl.io.tables.parquet import NULL

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS_A_FILE = 32 * ROW_GROUP_ROWS
LEAST_GROUP_ROWS = 8192


class Writer:
    """One parquet file, or a folder of `column=value/part-00000.parquet` if partitioned.

    Parameters
    ----------
    path : Path
        File or folder to write; complete when `close` has returned.
    schema : pa.Schema
        Schema of the rows.
    partition_by : sequence of str
        Text columns with few values; stored in folder names, not in the files.
    """

    def __init__(self, path: Path, schema: pa.Schema, partition_by: Sequence[str] = ()) -> None:
        import pyarrow as pa

        self._path, self._names = path, tuple(partition_by)
        self._schema = pa.schema([field for field in schema if field.name not in self._names])
        self._group_rows = max(LEAST_GROUP_ROWS, ROW_GROUP_ROWS // 4 ** max(0, len(self._names) - 1))
        self._partitions: dict[tuple[str, ...], _Rows] = {}
        if not self._names:
            self._partitions[()] = _Rows(path, self._schema, self._group_rows)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add some rows."""
        for values, rows in _divided(batch, self._names):
            if values not in self._partitions:
                folder = self._path.joinpath(
                    *(f"{name}={quote(value, safe='+ ')}" for name, value in zip(self._names, values, strict=True))
                )
                folder.mkdir(parents=True)
                self._partitions[values] = _Rows(folder, self._schema, self._group_rows)
            self._partitions[values].write(rows.select(self._schema.names))

    def close(self, chain: Chain) -> None:
        """Write the remaining rows, and the provenance into every file."""
        for rows in self._partitions.values():
            rows.close(chain)


def _divided(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pa.RecordBatch]]:
    """Each combination of values, with its rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not names:
        yield (), batch
        return
    dictionaries, which = [], np.zeros(batch.num_rows, np.int64)
    for name in names:
        coded = pc.fill_null(batch[name], NULL).dictionary_encode()
        dictionaries.append(coded.dictionary.to_pylist())
        which = which * len(dictionaries[-1]) + coded.indices.to_numpy()
    for combination in np.unique(which):
        at, values = int(combination), []
        for of_column in reversed(dictionaries):
            at, code = divmod(at, len(of_column))
            values.append(of_column[code])
        yield tuple(reversed(values)), batch.take(pa.array(np.flatnonzero(which == combination)))


class _Rows:
    """Buffers rows and writes them in groups of equal size to a file, or to numbered files in an existing folder."""

    def __init__(self, path: Path, schema: pa.Schema, group_rows: int) -> None:
        self._path, self._several = path, path.is_dir()
        self._schema, self._group_rows = schema, group_rows
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._rows_of_file = 0
        self._writers: list[pq.ParquetWriter] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Add some rows, and write complete groups."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        while self._waiting_rows >= self._group_rows:
            self._write_group()

    def close(self, chain: Chain) -> None:
        """Write the remaining rows, and the provenance into each file."""
        if self._waiting_rows or not self._writers:
            self._write_group()
        for writer in self._writers:
            writer.add_key_value_metadata(metadata_of(chain))
            writer.close()

    def _write_group(self) -> None:
        import pyarrow as pa

        table = pa.Table.from_batches(self._waiting, schema=self._schema)
        group, rest = table.slice(0, self._group_rows), table.slice(self._group_rows)
        self._waiting, self._waiting_rows = rest.to_batches(), rest.num_rows
        if not self._writers or (self._several and self._rows_of_file >= ROWS_A_FILE):
            path = self._path / f"part-{len(self._writers):05d}.parquet" if self._several else self._path
            self._writers.append(parquet_writer(path, self._schema, late_metadata=True))
            self._rows_of_file = 0
        self._writers[-1].write_table(group, row_group_size=self._group_rows)
        self._rows_of_file += group.num_rows
