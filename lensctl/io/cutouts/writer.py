"""Writing a cutout store: shard by shard, each by one writer and once, whole or absent in the end.

Beside the growing store (see `growing`) lie the index rows of each shard whose pixels are in it. Rows without pixels
cannot be: they are noted after them. What is killed goes on with the shards that have none.
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
from lensctl.io.cutouts.arrays import open_array, tensorstore_errors
from lensctl.io.cutouts.layout import ALIGNED, GROUP, IMAGES, INDEX, INDEX_COLUMNS, Layout, group_metadata, index_schema
from lensctl.io.cutouts.store import Store
from lensctl.io.provenance.steps import Chain, stamp, to_list
from lensctl.io.storage.atomic import sync_to_disk
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.io.storage.s3 import is_s3

if TYPE_CHECKING:
    import pyarrow as pa

ASKED_AT_ONCE = 16
SHARD_BYTES, PLANE_BYTES = b"lensctl.shard_bytes", b"lensctl.plane_bytes"
ROW_GROUP_ROWS = 65_536


class StoreWriter:
    """A growing store.

    Parameters
    ----------
    place : Place
        Where it grows; what an earlier run finished there is kept.
    layout : Layout
        How the pixels will lie.
    """

    def __init__(self, place: GrowingFolder, layout: Layout) -> None:
        self.place, self.layout = place, layout
        self.writer = ShardWriter(place, layout)
        """What writes single shards; it can be sent to another process."""

    def missing(self) -> list[int]:
        """Shards that are not written yet, in order."""
        with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
            done = list(threads.map(self.writer.is_done, range(self.layout.shards)))
        return [shard for shard, there in enumerate(done) if not there]

    def adopt(self, shard: int, old: Store) -> None:
        """Take a shard over from a finished store of the same layout, pixels and rows, without copying it."""
        start, stop = self.layout.span(shard)
        if not is_s3(old.path):  # there it is in its place
            files = (self.layout.file(shard), *(self.layout.plane_file(name, shard) for name in self.layout.planes))
            with self.place.scratch() as folder:
                for file in files:
                    _link(Path(old.path) / file, folder / file)
        self.writer.record(shard, old.index.slice(start, stop - start))

    def index(self) -> tuple[pa.Schema, Iterator[pa.Table]]:
        """Schema of the whole index, and its rows shard by shard; every shard must have been written."""
        import pyarrow.parquet as pq

        missing = self.missing()
        if missing:
            raise RuntimeError(f"{len(missing)} shards are not written, first {missing[0]}")
        meta = tuple(npz_columns.joined(_meta(schema) for schema in self._schemas()))
        schema = index_schema(meta)
        parts = (pq.ParquetFile(io.BytesIO(part)).read() for part in self._parts())
        return schema, (_as(part, schema, meta) for part in parts)

    def notes(self, key: bytes) -> list[bytes]:
        """What was noted under a key with each shard."""
        return [(schema.metadata or {}).get(key, b"") for schema in self._schemas()]

    def finish(self, chain: Chain, attributes: Mapping[str, Any]) -> None:
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
        stamped = stamp(schema.empty_table(), chain).schema
        said = {
            **attributes,
            "shard_bytes": [int(size) for size in self.notes(SHARD_BYTES)],
            **self._plane_bytes(),
            "meta_dtypes": {field.name: npz_columns.kind_of(field) for field in _meta(schema)},
            "provenance": to_list(chain),
        }
        with self.place.scratch() as folder:
            arrays = _make_arrays(folder, self.layout)
            aligned: dict[str, list[NDArray[Any]]] = {name: [] for name in ALIGNED}
            with pq.ParquetWriter(folder / INDEX, stamped, compression="zstd") as index:
                for rows in _regrouped(parts, ROW_GROUP_ROWS):
                    index.write_table(rows.cast(stamped), row_group_size=ROW_GROUP_ROWS)
                    for name, values in aligned.items():
                        values.append(rows[name].to_numpy())
            for name, values in aligned.items():
                shutil.rmtree(folder / name, ignore_errors=True)
                (folder / name).mkdir()
                _write_text(folder / name / GROUP, self.layout.aligned_metadata(ALIGNED[name]))
                with tensorstore_errors(self.place.path):
                    open_array(str(folder / name)).write(np.concatenate(values).astype(ALIGNED[name])).result()
            _write_text(folder / GROUP, group_metadata(self.layout, said))
            of_aligned = [f"{name}/{file}" for name in ALIGNED for file in (GROUP, "c/0")]
            self.place.settle(folder, [*arrays, INDEX, *of_aligned, GROUP])
        self.place.finish()

    def _plane_bytes(self) -> dict[str, dict[str, list[int]]]:
        if not self.layout.planes:
            return {}
        noted = [json.loads(note) for note in self.notes(PLANE_BYTES)]
        return {"plane_bytes": {name: [sizes[name] for sizes in noted] for name in self.layout.planes}}

    def _parts(self) -> Iterator[bytes]:
        with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
            yield from threads.map(self.place.part, map(_part_name, range(self.layout.shards)))

    def _schemas(self) -> Iterator[pa.Schema]:
        import pyarrow.parquet as pq

        return (pq.read_schema(io.BytesIO(part)) for part in self._parts())


class ShardWriter:
    """Writes single shards of a store; holds only its place and layout, so that a worker process can have one."""

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
        planes : mapping of (n, S, S, B) or (n, S, S) arrays, optional
            The further arrays that the layout names.

        Raises OSError where the disk is full or may not be written.
        """
        start, stop = self.layout.span(shard)
        if len(images) != stop - start or rows.num_rows != stop - start:
            raise ValueError(f"shard {shard} has {stop - start} rows, not {len(images)} and {rows.num_rows}")
        arrays = {self.layout.file(shard): (IMAGES, images)}
        arrays |= {self.layout.plane_file(name, shard): (name, (planes or {})[name]) for name in self.layout.planes}
        with self.place.scratch() as folder:
            _make_arrays(folder, self.layout)
            for name, (array, values) in arrays.items():
                (folder / name).unlink(missing_ok=True)  # of one killed after its pixels, or linked from an older store
                with tensorstore_errors(str(folder / name)):
                    written = open_array(str(folder / array))[start:stop]
                    written.write(values, can_reference_source_data_indefinitely=True).result()  # no copy first
            self.place.settle(folder, list(arrays))
        self.record(shard, rows, notes)

    def record(self, shard: int, rows: pa.Table, notes: Mapping[bytes, bytes] | None = None) -> None:
        """Say that a shard's pixels are on disk, and what is known of its rows."""
        import pyarrow.parquet as pq

        sizes = {SHARD_BYTES: str(self.place.size(self.layout.file(shard))).encode()}
        if self.layout.planes:
            sizes[PLANE_BYTES] = json.dumps(self._plane_sizes(shard)).encode()
        meta = [field for field in rows.schema if field.name not in INDEX_COLUMNS]
        fields = index_schema(tuple(meta))
        known = rows.select(fields.names).cast(fields)
        known = known.replace_schema_metadata({**(notes or {}), **sizes})
        part = io.BytesIO()
        pq.write_table(known, part, compression="zstd")
        self.place.put_part(_part_name(shard), part.getvalue())

    def is_done(self, shard: int) -> bool:
        """Whether a shard's rows are recorded and its pixels are as long as they were then."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            noted = pq.read_schema(io.BytesIO(self.place.part(_part_name(shard)))).metadata
            if self.layout.planes and json.loads(noted[PLANE_BYTES]) != self._plane_sizes(shard):
                return False
            return int(noted[SHARD_BYTES]) == self.place.size(self.layout.file(shard))
        except (OSError, pa.ArrowException, KeyError, TypeError):
            return False

    def _plane_sizes(self, shard: int) -> dict[str, int]:
        return {name: self.place.size(self.layout.plane_file(name, shard)) for name in self.layout.planes}

    def rows(self, shard: int) -> pa.Table:
        """The recorded rows of a shard."""
        import pyarrow.parquet as pq

        return pq.ParquetFile(io.BytesIO(self.place.part(_part_name(shard)))).read()


def _make_arrays(folder: Path, layout: Layout) -> list[str]:
    """The pixels' arrays, without pixels, where they are not there yet; gives the names of their metadata."""
    arrays = {IMAGES: layout.images_metadata(), **{name: layout.plane_metadata(name) for name in layout.planes}}
    for name, metadata in arrays.items():
        if not (folder / name / GROUP).exists():
            (folder / name).mkdir(exist_ok=True)
            _write_text(folder / name / GROUP, metadata)
    return [f"{name}/{GROUP}" for name in arrays]


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
    """Write JSON; whole at once, because other makers of parts may read it."""
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    half.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    os.replace(half, path)
