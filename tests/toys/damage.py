"""Ways in which a store's files change behind its back, and a catalogue's are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits

from lensctl.io.cutouts.store import open_store


def flip_bit(store: Path, row: int, bit: int = 14) -> None:
    """Flip one bit of a cutout in a store that is not compressed; by default one of its first pixel."""
    layout = open_store(store).layout
    shard = row // layout.shard_rows
    file = store / layout.file(shard)
    content = bytearray(file.read_bytes())
    start = (row - layout.span(shard)[0]) * 4 * int(np.prod(layout.shape("images")[1:]))
    content[start + bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def reorder_index(store: Path, order: list[int]) -> None:
    """Write the rows of the index in another order; the pixels stay where they are."""
    index = pq.read_table(store / "index.parquet")
    pq.write_table(index.take(order), store / "index.parquet")


def forget(store: Path, rows: list[int]) -> None:
    """Leave some cutouts without a recorded SHA-256."""
    index = pq.read_table(store / "index.parquet")
    known = [None if row in rows else sha for row, sha in enumerate(index["cutout_sha256"].to_pylist())]
    at = index.column_names.index("cutout_sha256")
    pq.write_table(index.set_column(at, index.schema.field(at), [known]), store / "index.parquet")


def lose_shard(store: Path, shard: int) -> None:
    """Delete a file of pixels."""
    (store / open_store(store).layout.file(shard)).unlink()


def spoil_packed_column(path: Path, name: str) -> None:
    """Zero the first tile of a column of a packed FITS table, but for its beginning."""
    data = path.read_bytes()
    with fits.open(path) as file:
        table = file[1]
        tile = np.asarray(table.data[name][0], np.uint8).tobytes()
        heap = table._data_offset + table.header["NAXIS1"] * table.header["NAXIS2"]
    at = data.index(tile, heap)
    path.write_bytes(data[: at + 4] + bytes(len(tile) - 4) + data[at + len(tile) :])
