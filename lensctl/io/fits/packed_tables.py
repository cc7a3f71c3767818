"""Tile-compressed FITS tables (as made by `fpack -table`), unpacked tile by tile and column by column."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lensctl.io.fits.header import Header, count_of
from lensctl.io.unpacking import inflated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GZIP_MAGIC = b"\x1f\x8b"
LARGEST_TILE_BYTES = 256 << 20


def is_packed(header: Header) -> bool:
    """Whether a table is tile-compressed."""
    return header.get("ZTABLE") is True


def as_unpacked(header: Header) -> Header:
    """The header of the unpacked table, as far as its row layout is concerned."""
    plain: Header = {**header, "NAXIS1": header["ZNAXIS1"], "NAXIS2": header["ZNAXIS2"]}
    for i in range(1, count_of(header, "TFIELDS") + 1):
        plain[f"TFORM{i}"] = header[f"ZFORM{i}"]
    return plain


def packed_tiles(
    file: Any, start: int, header: Header, row: np.dtype[Any], names: Sequence[str]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """First row number and rows of each tile, with some of the columns.

    Parameters
    ----------
    file : binary file
    start : int
        Offset of the table's data.
    header : Header
        Header of the packed table.
    row : np.dtype
        Dtype of an unpacked row.
    names : sequence of str
        Columns, all of them in `row`.
    """
    import numpy as np

    count, length = count_of(header, "ZNAXIS2"), count_of(header, "ZTILELEN")
    width, fields, tiles = (count_of(header, key) for key in ("NAXIS1", "TFIELDS", "NAXIS2"))
    if not length or tiles != -(-count // length) or min(length, count) * row.itemsize > LARGEST_TILE_BYTES:
        raise ValueError(f"{tiles} tiles of {length} rows for {count} rows of {row.itemsize} bytes")
    end = file.seek(0, os.SEEK_END)
    if start + width * tiles > end:
        raise ValueError("truncated")
    file.seek(start)
    table = file.read(width * tiles)
    pointer = ">i8" if width == 16 * fields else ">i4"
    spans = np.frombuffer(table, pointer).reshape(-1, fields, 2)  # length in bytes, and offset in the heap
    heap = start + count_of(header, "THEAP", len(table))
    order = [str(header.get(f"TTYPE{i}", "")).strip().lower() for i in range(1, fields + 1)]
    for tile, first in enumerate(range(0, count, length)):
        rows = min(length, count - first)
        records = np.empty(rows, [(name, row[name]) for name in names])
        for name in names:
            at = order.index(name)
            size, offset = (int(value) for value in spans[tile, at])
            if not 0 <= size <= end - heap or not 0 <= offset <= end - heap:
                raise ValueError("a tile lies outside the file")
            file.seek(heap + offset)
            records[name] = _column(file.read(size), str(header.get(f"ZCTYP{at + 1}", "")), row[name], rows)
        yield first, records
    if not count:
        yield 0, np.empty(0, [(name, row[name]) for name in names])


def _column(data: bytes, compression: str, kind: np.dtype[Any], rows: int) -> NDArray[Any]:
    """Values of one column in one tile; ValueError if their number is not that of the rows."""
    import numpy as np

    if data[:2] == GZIP_MAGIC:
        data = inflated(data, rows * kind.itemsize)
        if compression.strip() == "GZIP_2":  # first bytes of all values, then second bytes, ...
            data = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1).T.tobytes()
    elif compression.strip() == "RICE_1":
        from lensctl.io.fits.rice import unpacked

        data = unpacked(np.frombuffer(data, np.uint8), rows, kind.itemsize).astype(kind).tobytes()
    if len(data) != rows * kind.itemsize:
        raise ValueError(f"a tile has {len(data)} bytes for {rows} values of a column ({compression.strip()})")
    return np.frombuffer(data, kind)
