"""Writing a cutout store shard by shard, each by one writer; the store appears only when complete.

The index rows of each written shard are kept as a part beside the growing store (see `growing_folders`), after its
pixels. An interrupted run resumes with the shards that have no part.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lensctl.io.cutouts import npz_columns
from lensctl.io.cutouts.arrays import make_aligned, make_group, make_pixels, open_array, tensorstore_errors
from lensctl.io.cutouts.layout import ALIGNED, GROUP, IMAGES, INDEX, Layout, index_schema
from lensctl.io.cutouts.store import Store
from lensctl.io.provenance.steps import Chain, stamp, survey_of, to_list
from lensctl.io.storage.atomic import sync_to_disk
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.config import json_value

if TYPE_CHECKING:
    import pyarrow as pa

CONCURRENT_READS = 16
SHARD_BYTES, PLANE_BYTES = b"lensctl.shard_bytes", b"lensctl.plane_bytes"
ROW_GROUP_ROWS = 65_536


class StoreWriter:
    """A growing store.

    Parameters
    ----------
    place : GrowingFolder
        Where it grows; shards finished by an earlier run are kept.
    layout : Layout
        Layout of the pixels.
    """

    def __init__(self, place: GrowingFolder, layout: Layout) -> None:
        self.place, self.layout = place, layout
        self.writer = ShardWriter(place, layout)
        """Writer of single shards; can be sent to another process."""

    def missing(self) -> list[int]:
        """Shards not written yet, in order."""
        with ThreadPoolExecutor(CONCURRENT_READS) as threads:
            done = list(threads.map(self.writer.is_done, range(self.layout.shards)))
        return [shard for shard, written in enumerate(done) if not written]

    def adopt(self, shard: int, old: Store) -> None:
        """Reuse a shard, pixels and rows, from a finished store of the same layout, without copying."""
        start, stop = self.layout.span(shard)
        if not is_s3(old.path):  # on S3 it is already in place
            files = (self.layout.file(shard), *(self.layout.plane_file(name, shard) for name in self.layout.planes))
            with self.place.scratch() as folder:
                for file in files:
                    _link(Path(old.path) / file, folder / file)
        self.writer.record(shard, old.index.slice(start, stop - start))

    def index(self) -> tuple[pa.Schema, Iterator[pa.Table]]:
        """Schema of the complete index, and its rows shard by shard; all shards must be written."""
        import pyarrow.parquet as pq

        missing = self.missing()
        if missing:
            raise RuntimeError(f"{len(missing)} shards are not written, first {missing[0]}")
        meta = tuple(npz_columns.joined(_meta(schema, self.layout) for schema in self._schemas()))
        schema = index_schema(self.layout, meta)
        parts = (pq.ParquetFile(io.BytesIO(part)).read() for part in self._parts())
        return schema, (_as(part, schema, meta, self.layout) for part in parts)

    def notes(self, key: bytes) -> list[bytes]:
        """The note stored under a key with each shard."""
        return [(schema.metadata or {}).get(key, b"") for schema in self._schemas()]

    def finish(self, chain: Chain, attributes: Mapping[str, Any]) -> None:
        """Merge the parts into the index, write the per-row arrays and the group, and move the store into place.

        Parameters
        ----------
        chain : Chain
            Provenance of the store.
        attributes : mapping of JSON values
            Additional attributes of the group.
        """
        import pyarrow.parquet as pq

        schema, parts = self.index()
        stamped = stamp(schema.empty_table(), chain).schema
        group_attributes = {
            **attributes,
            "shard_bytes": [int(size) for size in self.notes(SHARD_BYTES)],
            **self._plane_bytes(),
            "meta_dtypes": {field.name: npz_columns.kind_of(field) for field in _meta(schema, self.layout)},
            "survey": survey_of(chain).name,
            "provenance": to_list(chain),
        }
        with self.place.scratch() as folder:
            pixels = _make_pixels(folder, self.layout)
            aligned: dict[str, list[NDArray[Any]]] = {name: [] for name in ALIGNED}
            with pq.ParquetWriter(folder / INDEX, stamped, compression="zstd") as index:
                for rows in _regrouped(parts, ROW_GROUP_ROWS):
                    index.write_table(rows.cast(stamped), row_group_size=ROW_GROUP_ROWS)
                    for name, values in aligned.items():
                        values.append(rows[name].to_numpy())
            for name, values in aligned.items():
                make_aligned(folder, name, np.concatenate(values))
            make_group(folder, self.layout.attributes(group_attributes))
            of_aligned = [f"{name}/{file}" for name in ALIGNED for file in (GROUP, "c/0")]
            self.place.settle(folder, [*pixels, INDEX, *of_aligned, GROUP])
        self.place.finish()

    def _plane_bytes(self) -> dict[str, dict[str, list[int]]]:
        if not self.layout.planes:
            return {}
        noted = [json_value(note) for note in self.notes(PLANE_BYTES)]
        return {"plane_bytes": {name: [sizes[name] for sizes in noted] for name in self.layout.planes}}

    def _parts(self) -> Iterator[bytes]:
        with ThreadPoolExecutor(CONCURRENT_READS) as threads:
            yield from threads.map(self.place.part, map(_part_name, range(self.layout.shards)))

    def _schemas(self) -> Iterator[pa.Schema]:
        import pyarrow.parquet as pq

        return (pq.read_schema(io.BytesIO(part)) for part in self._parts())


class ShardWriter:
    """Writes single shards of a store; holds only place and layout, so that it can be sent to a worker process."""

    def __init__(self, place: GrowingFolder, layout: Layout) -> None:
        self.place, self.layout = place, layout

    def write(
        self,
        shard: int,
        images: NDArray[np.float32],
        rows: pa.Table,
        notes: Mapping[bytes, bytes] | None = None,
        planes: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Write one complete shard, then its index rows.

        Parameters
        ----------
        shard : int
        images : (n, S, S, B) float32
            All cutouts of the shard.
        rows : pa.Table
            Their index rows: the declared columns and any `meta_*`.
        notes : mapping, optional
            Notes to keep until the store is finished.
        planes : mapping of (n, S, S, B) or (n, S, S) arrays, optional
            The additional arrays of the layout.

        Raises OSError if the disk is full or not writable.
        """
        start, stop = self.layout.span(shard)
        if len(images) != stop - start or rows.num_rows != stop - start:
            raise ValueError(f"shard {shard} has {stop - start} rows, not {len(images)} and {rows.num_rows}")
        arrays = {self.layout.file(shard): (IMAGES, images)}
        arrays |= {self.layout.plane_file(name, shard): (name, (planes or {})[name]) for name in self.layout.planes}
        with self.place.scratch() as folder:
            _make_pixels(folder, self.layout)
            for name, (array, values) in arrays.items():
                (folder / name).unlink(missing_ok=True)  # left by an interrupted run, or linked from an older store
                with tensorstore_errors(str(folder / name)):
                    written = open_array(str(folder / array))[start:stop]
                    written.write(values, can_reference_source_data_indefinitely=True).result()  # no copy first
            self.place.settle(folder, list(arrays))
        self.record(shard, rows, notes)

    def record(self, shard: int, rows: pa.Table, notes: Mapping[bytes, bytes] | None = None) -> None:
        """Record that a shard's pixels are on disk, with its index rows."""
        import pyarrow.parquet as pq

        sizes = {SHARD_BYTES: str(self.place.size(self.layout.file(shard))).encode()}
        if self.layout.planes:
            sizes[PLANE_BYTES] = json.dumps(self._plane_sizes(shard)).encode()
        fields = index_schema(self.layout, tuple(_meta(rows.schema, self.layout)))
        known = rows.select(fields.names).cast(fields)
        known = known.replace_schema_metadata({**(notes or {}), **sizes})
        part = io.BytesIO()
        pq.write_table(known, part, compression="zstd")
        self.place.put_part(_part_name(shard), part.getvalue())

    def is_done(self, shard: int) -> bool:
        """Whether a shard's rows are recorded and its pixel files have the recorded length."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(io.BytesIO(self.place.part(_part_name(shard))))
            noted = schema.metadata
            if not set(self.layout.index_columns) <= set(schema.names):
                return False
            if self.layout.planes and json_value(noted[PLANE_BYTES]) != self._plane_sizes(shard):
                return False
            return int(noted[SHARD_BYTES]) == self.place.size(self.layout.file(shard))
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
            return False

    def _plane_sizes(self, shard: int) -> dict[str, int]:
        return {name: self.place.size(self.layout.plane_file(name, shard)) for name in self.layout.planes}

    def rows(self, shard: int) -> pa.Table:
        """The recorded rows of a shard."""
        import pyarrow.parquet as pq

        return pq.ParquetFile(io.BytesIO(self.place.part(_part_name(shard)))).read()


def _make_pixels(folder: Path, layout: Layout) -> list[str]:
    """Make the pixel arrays where missing; returns the names of their metadata files."""
    names = (IMAGES, *layout.planes)
    for name in names:
        make_pixels(folder, layout, name)
    return [f"{name}/{GROUP}" for name in names]


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
        sync_to_disk(target)


def _part_name(shard: int) -> str:
    return f"{shard:06d}.parquet"


def _meta(schema: pa.Schema, layout: Layout) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field for field in schema if field.name not in layout.index_columns])


def _as(rows: pa.Table, schema: pa.Schema, meta: tuple[pa.Field, ...], layout: Layout) -> pa.Table:
    """Rows of one part in the schema of the complete index."""
    import pyarrow as pa

    extra = npz_columns.conform(rows.select(_meta(rows.schema, layout).names), meta)
    return pa.table([*(rows[name] for name in layout.index_columns), *extra.columns], schema=schema)


def _regrouped(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows` each, so that the file does not depend on how they were batched."""
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
