"""Writing a cutout store: shard by shard, each by one writer and once, whole or absent in the end.

The workplace (see `jobs`) holds the growing group in `whole/` and, in `parts/`, the index rows of each shard whose
pixels are on disk. A part without pixels cannot be: it is written after them. What is killed goes on with the shards
that have no part.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lensctl.doors import npz_columns, provenance
from lensctl.doors.arrays import open_array, tensorstore_errors
from lensctl.doors.jobs import Job
from lensctl.doors.store import Store
from lensctl.doors.store_layout import (
    ALIGNED,
    GROUP,
    IMAGES,
    INDEX,
    INDEX_COLUMNS,
    Layout,
    group_metadata,
    index_schema,
)
from lensctl.doors.whole import sync_to_disk

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = "parts"
SHARD_BYTES = b"lensctl.shard_bytes"
ROW_GROUP_ROWS = 65_536


class StoreWriter:
    """The store that a job makes.

    Parameters
    ----------
    job : Job
        Its workplace; what an earlier run finished there is kept.
    layout : Layout
        How the pixels will lie.
    """

    def __init__(self, job: Job, layout: Layout) -> None:
        self.job, self.layout = job, layout
        self.parts = job.folder / PARTS
        self.parts.mkdir(exist_ok=True)
        (job.built / IMAGES).mkdir(exist_ok=True)
        _write_text(job.built / IMAGES / GROUP, layout.images_metadata())

    @property
    def writer(self) -> ShardWriter:
        """What writes single shards; it can be sent to another process."""
        return ShardWriter(str(self.job.built.resolve()), str(self.parts.resolve()), self.layout)

    def missing(self) -> list[int]:
        """Shards that are not written yet, in order."""
        return [shard for shard in range(self.layout.shards) if not self.writer.is_done(shard)]

    def adopt(self, shard: int, old: Store) -> None:
        """Take a shard over from a finished store of the same layout, pixels and rows, without copying it."""
        start, stop = self.layout.span(shard)
        source, target = Path(old.path) / self.layout.file(shard), self.job.built / self.layout.file(shard)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, target)
            sync_to_disk(target)
        self.writer.record(shard, old.index.slice(start, stop - start))

    def index(self) -> tuple[pa.Schema, Iterator[pa.Table]]:
        """Schema of the whole index, and its rows shard by shard; every shard must have been written."""
        import pyarrow.parquet as pq

        missing = self.missing()
        if missing:
            raise RuntimeError(f"{len(missing)} shards are not written, first {missing[0]}")
        meta = tuple(npz_columns.joined(_meta(schema) for schema in self._schemas()))
        schema = index_schema(meta)
        return schema, (_as(pq.read_table(file), schema, meta) for file in self._part_files())

    def notes(self, key: bytes) -> list[bytes]:
        """What was noted under a key with each shard."""
        return [(schema.metadata or {}).get(key, b"") for schema in self._schemas()]

    def finish(self, chain: provenance.Chain, attributes: Mapping[str, Any]) -> None:
        """Join the parts to the index, write the aligned arrays and the group, and give the store its name.

        Parameters
        ----------
        chain : Chain
            The steps that made the store.
        attributes : mapping of JSON values
            What else the group's attributes say.
        """
        import pyarrow.parquet as pq

        schema, parts = self.index()
        stamped = provenance.stamp(schema.empty_table(), chain).schema
        aligned: dict[str, list[NDArray[Any]]] = {name: [] for name in ALIGNED}
        with pq.ParquetWriter(self.job.built / INDEX, stamped, compression="zstd") as index:
            for rows in _regrouped(parts, ROW_GROUP_ROWS):
                index.write_table(rows.cast(stamped), row_group_size=ROW_GROUP_ROWS)
                for name, values in aligned.items():
                    values.append(rows[name].to_numpy())
        for name, values in aligned.items():
            path = self.job.built / name
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            _write_text(path / GROUP, self.layout.aligned_metadata(ALIGNED[name]))
            with tensorstore_errors(str(self.job.path)):
                open_array(str(path)).write(np.concatenate(values).astype(ALIGNED[name])).result()
        for stray in self.job.built.rglob("*.__lock"):  # a writer that was killed leaves its own
            stray.unlink()
        said = {
            **attributes,
            "shard_bytes": [int(size) for size in self.notes(SHARD_BYTES)],
            "meta_dtypes": {field.name: npz_columns.kind_of(field) for field in _meta(schema)},
            "provenance": provenance.to_list(chain),
        }
        _write_text(self.job.built / GROUP, group_metadata(self.layout, said))
        self.job.finish()

    def _part_files(self) -> list[Path]:
        return [self.parts / _part_name(shard) for shard in range(self.layout.shards)]

    def _schemas(self) -> list[pa.Schema]:
        import pyarrow.parquet as pq

        return [pq.read_schema(file) for file in self._part_files()]


class ShardWriter:
    """Writes single shards of a store; holds only paths and the layout, so that a worker process can have one."""

    def __init__(self, built: str, parts: str, layout: Layout) -> None:
        self.built, self.parts, self.layout = built, parts, layout

    def write(
        self, shard: int, images: NDArray[np.float32], rows: pa.Table, notes: Mapping[bytes, bytes] | None = None
    ) -> None:
        """Write one whole shard, and then its rows of the index.

        Parameters
        ----------
        shard : int
        images : (n, S, S, B) float32
            All cutouts of the shard.
        rows : pa.Table
            Their rows of the index: the declared columns and any `meta_*`.
        notes : mapping, optional
            What else is to be known when the store is finished.

        Raises OSError where the disk is full or may not be written.
        """
        start, stop = self.layout.span(shard)
        if len(images) != stop - start or rows.num_rows != stop - start:
            raise ValueError(f"shard {shard} has {stop - start} rows, not {len(images)} and {rows.num_rows}")
        file = Path(self.built) / self.layout.file(shard)
        file.unlink(missing_ok=True)  # one that was killed after its pixels, or linked from an older store
        with tensorstore_errors(str(file)):
            _images(f"{self.built}/{IMAGES}", self.layout)[start:stop].write(images).result()
        self.record(shard, rows, notes)

    def record(self, shard: int, rows: pa.Table, notes: Mapping[bytes, bytes] | None = None) -> None:
        """Say that a shard's pixels are on disk, and what is known of its rows."""
        import pyarrow.parquet as pq

        size = os.path.getsize(f"{self.built}/{self.layout.file(shard)}")
        meta = [field for field in rows.schema if field.name not in INDEX_COLUMNS]
        fields = index_schema(tuple(meta))
        known = rows.select(fields.names).cast(fields)
        known = known.replace_schema_metadata({**(notes or {}), SHARD_BYTES: str(size).encode()})
        part = Path(self.parts) / f".{_part_name(shard)}.part"
        pq.write_table(known, part, compression="zstd")
        sync_to_disk(part)
        os.replace(part, Path(self.parts) / _part_name(shard))

    def is_done(self, shard: int) -> bool:
        """Whether a shard's rows are recorded and its pixels are as long as they were then."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(Path(self.parts) / _part_name(shard))
            return int(schema.metadata[SHARD_BYTES]) == os.path.getsize(f"{self.built}/{self.layout.file(shard)}")
        except (OSError, pa.ArrowException, KeyError, TypeError):
            return False

    def rows(self, shard: int) -> pa.Table:
        """The recorded rows of a shard."""
        import pyarrow.parquet as pq

        return pq.read_table(Path(self.parts) / _part_name(shard))


@functools.lru_cache(maxsize=4)
def _images(path: str, layout: Layout) -> Any:
    return open_array(path)


def _part_name(shard: int) -> str:
    return f"{shard:06d}.parquet"


def _meta(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field for field in schema if field.name not in INDEX_COLUMNS])


def _as(rows: pa.Table, schema: pa.Schema, meta: tuple[pa.Field, ...]) -> pa.Table:
    """Rows of one part under the schema of the whole index."""
    import pyarrow as pa

    came_along = npz_columns.conform(rows.select(_meta(rows.schema).names), meta)
    return pa.table([*(rows[name] for name in INDEX_COLUMNS), *came_along.columns], schema=schema)


def _regrouped(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows` each, so that the file does not depend on how they came."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        while sum(t.num_rows for t in waiting) >= rows:
            joined = pa.concat_tables(waiting).combine_chunks()
            yield joined.slice(0, rows)
            waiting = [joined.slice(rows)]
    if sum(t.num_rows for t in waiting):
        yield pa.concat_tables(waiting).combine_chunks()


def _write_text(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
