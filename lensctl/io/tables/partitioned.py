"""Parquet written as its rows come, in one file or in a folder of hive partitions; the provenance is told last.

Rows keep their order within a partition, and files are cut by rows alone: the same rows give the same bytes, however
they were cut into batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lensctl.io.provenance.steps import KEY, Chain, to_json
from lensctl.io.tables.files import ROW_GROUP_ROWS, parquet_writer

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS_A_FILE = 32 * ROW_GROUP_ROWS
LEAST_GROUP_ROWS = 8192
NULL = "__HIVE_DEFAULT_PARTITION__"
"""What Hive, Spark, DuckDB and Arrow all call the partition of rows without a value."""


class Writer:
    """One parquet file, or a folder of `column=value/part-00000.parquet` where there are columns to partition by.

    Parameters
    ----------
    path : Path
        File to write, or folder to make; whole when `close` has returned.
    schema : pa.Schema
        Of the rows.
    partition_by : sequence of str
        Text columns of few values; they are not in the files, but in the names of their folders.
    """

    def __init__(self, path: Path, schema: pa.Schema, partition_by: Sequence[str] = ()) -> None:
        import pyarrow as pa

        self._path, self._names = path, tuple(partition_by)
        self._schema = pa.schema([field for field in schema if field.name not in self._names])
        self._group_rows = max(LEAST_GROUP_ROWS, ROW_GROUP_ROWS // 4 ** max(0, len(self._names) - 1))
        self._begun: dict[tuple[str, ...], _Rows] = {}
        if not self._names:
            self._begun[()] = _Rows(path, self._schema, self._group_rows)

    def write(self, batch: pa.RecordBatch) -> None:
        """Take in some rows."""
        for values, rows in _divided(batch, self._names):
            if values not in self._begun:
                folder = self._path.joinpath(
                    *(f"{name}={quote(value, safe='+ ')}" for name, value in zip(self._names, values, strict=True))
                )
                folder.mkdir(parents=True)
                self._begun[values] = _Rows(folder, self._schema, self._group_rows)
            self._begun[values].write(rows.select(self._schema.names))

    def close(self, chain: Chain) -> None:
        """Write what is left, and the provenance into every file."""
        for rows in self._begun.values():
            rows.close(chain)


def _divided(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pa.RecordBatch]]:
    """The rows of each combination of values, with the values."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not names:
        yield (), batch
        return
    words, which = [], np.zeros(batch.num_rows, np.int64)
    for name in names:
        coded = pc.fill_null(batch[name], NULL).dictionary_encode()
        words.append(coded.dictionary.to_pylist())
        which = which * len(words[-1]) + coded.indices.to_numpy()
    for combination in np.unique(which):
        at, values = int(combination), []
        for of_column in reversed(words):
            at, code = divmod(at, len(of_column))
            values.append(of_column[code])
        yield tuple(reversed(values)), batch.take(pa.array(np.flatnonzero(which == combination)))


class _Rows:
    """Rows on their way to a file, or to one file after another in a folder that is there, in groups of one size."""

    def __init__(self, path: Path, schema: pa.Schema, group_rows: int) -> None:
        self._path, self._several = path, path.is_dir()
        self._schema, self._group_rows = schema, group_rows
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._rows_of_file = 0
        self._writers: list[pq.ParquetWriter] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Take in some rows; what makes a whole group is written."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        while self._waiting_rows >= self._group_rows:
            self._write_group()

    def close(self, chain: Chain) -> None:
        """Write the rows that are left, and the provenance into each file."""
        if self._waiting_rows or not self._writers:
            self._write_group()
        for writer in self._writers:
            writer.add_key_value_metadata({KEY: to_json(chain).encode()})
            writer.close()

    def _write_group(self) -> None:
        import pyarrow as pa

        table = pa.Table.from_batches(self._waiting, schema=self._schema)
        group, rest = table.slice(0, self._group_rows), table.slice(self._group_rows)
        self._waiting, self._waiting_rows = rest.to_batches(), rest.num_rows
        if not self._writers or (self._several and self._rows_of_file >= ROWS_A_FILE):
            path = self._path / f"part-{len(self._writers):05d}.parquet" if self._several else self._path
            self._writers.append(parquet_writer(path, self._schema, told_last=True))
            self._rows_of_file = 0
        self._writers[-1].write_table(group, row_group_size=self._group_rows)
        self._rows_of_file += group.num_rows
