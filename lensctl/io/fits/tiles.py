"""Which bytes of a FITS file hold which pixels, so that only those need fetching from a remote file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lensctl.io.fits.header import BLOCK, MOST_BYTES_A_PIXEL, Header, Image, count_of

DAMAGED = "the tile table is damaged"
PIECE = (100, 100)  # tile of an uncompressed image, in rows and columns
FORMS = {"L": "u1", "B": "u1", "A": "S1", "I": ">i2", "J": ">i4", "E": ">f4", "K": ">i8", "D": ">f8"}

Table = NDArray[np.void]
Spans = NDArray[np.int64]
Mask = NDArray[np.bool_]


def tile_shape(image: Image) -> tuple[int, int]:
    """Rows and columns of the tiles in which an image is read: its compression tiles, if compressed."""
    rows, columns = image.tile if is_compressed(image) else PIECE
    return min(rows, image.shape[0]), min(columns, image.shape[1])


def is_compressed(image: Image) -> bool:
    """Whether the image is tile-compressed."""
    return image.header.get("ZIMAGE") is True


def no_tiles(image: Image) -> Mask:
    """An all-false (H, W) mask of an image's tiles."""
    rows, columns = tile_shape(image)
    return np.zeros((-(-image.shape[0] // rows), -(-image.shape[1] // columns)), bool)


def tile_blocks(mask: Mask) -> Iterator[tuple[slice, slice]]:
    """Disjoint rectangles, as slices of rows and columns, that cover exactly the true elements of an (H, W) mask."""
    edges = np.diff(np.pad(mask, ((0, 1), (1, 1))).astype(np.int8), axis=1)
    runs: list[set[tuple[int, int]]] = [set() for _ in edges]
    for (row, start), stop in zip(np.argwhere(edges > 0).tolist(), np.nonzero(edges < 0)[1].tolist(), strict=True):
        runs[row].add((start, stop))
    open_runs: dict[tuple[int, int], int] = {}
    for row, here in enumerate(runs):
        for run in open_runs.keys() - here:
            yield slice(open_runs.pop(run), row), slice(*run)
        open_runs |= dict.fromkeys(here - open_runs.keys(), row)


def pixels_of(image: Image, blocks: Iterator[tuple[slice, slice]]) -> Iterator[tuple[slice, slice]]:
    """Convert rectangles of tiles to rows and columns of pixels."""
    rows, columns = tile_shape(image)
    height, width = image.shape
    for down, across in blocks:
        lines = slice(down.start * rows, min(down.stop * rows, height))
        yield lines, slice(across.start * columns, min(across.stop * columns, width))


def table_bytes(image: Image) -> int:
    """Length in bytes of a compressed image's tile table, at the start of its data; 0 if uncompressed."""
    return count_of(image.header, "NAXIS1") * count_of(image.header, "NAXIS2") if is_compressed(image) else 0


def tile_table(image: Image, table: bytes) -> Table:
    """The tile table of a compressed image, one row per tile, in row-major order.

    Parameters
    ----------
    image : Image
    table : bytes
        The first `table_bytes` bytes of its data.

    Returns
    -------
    table : (T,) structured
        Heap pointers are pairs: number of items, and offset in bytes.

    Raises
    ------
    ValueError
        It is damaged, or its row count is not the number of tiles.
    """
    fields = []
    for name, (repeat, pointer, item) in _columns(image.header).items():
        kind = FORMS[item] if not pointer else ">i8" if pointer == "Q" else ">i4"
        fields.append((name, kind, (2,) if pointer else (repeat,) if repeat != 1 else ()))
    row = np.dtype(fields)
    if row.itemsize != count_of(image.header, "NAXIS1") or len(table) != row.itemsize * no_tiles(image).size:
        raise ValueError(DAMAGED)
    return np.frombuffer(table, row)


def spans_of(image: Image, table: Table, name: str) -> Spans:
    """Start and stop offset in the file of each tile's data in a column: (T, 2).

    Raises ValueError if a tile lies outside the data.
    """
    item = np.dtype(FORMS[_columns(image.header)[name][2]]).itemsize
    heap = image.data_start + count_of(image.header, "THEAP", table_bytes(image))
    pair = table[name].astype(np.int64)
    start = np.where(pair[:, 0] > 0, heap + pair[:, 1], heap)
    spans = np.stack([start, start + pair[:, 0] * item], axis=1)
    end = image.data_start + image.data_bytes
    length = spans[:, 1] - spans[:, 0]
    longest = math.prod(tile_shape(image)) * MOST_BYTES_A_PIXEL + BLOCK
    if spans.min() < heap or spans.max() > end or length.min() < 0 or length.max() > longest:
        raise ValueError(DAMAGED)
    return spans


def gzipped_spans(image: Image, table: bytes) -> list[Spans]:
    """Offsets of a compressed image's tiles in each heap column that gzip may have packed; see `spans_of`."""
    rows, packed = tile_table(image, table), str(image.header.get("ZCMPTYPE")).startswith("GZIP")
    names = {"GZIP_COMPRESSED_DATA", *(["COMPRESSED_DATA"] if packed else [])} & set(rows.dtype.names or ())
    return [spans_of(image, rows, name) for name in sorted(names)]


def tile_spans(image: Image, table: bytes) -> Spans:
    """Offsets of a compressed image's tiles, for all C heap columns: (T, C, 2); see `spans_of`.

    Raises ValueError as `tile_table` and `spans_of`.
    """
    rows = tile_table(image, table)
    names = [name for name, (_, pointer, _) in _columns(image.header).items() if pointer]
    return np.stack([spans_of(image, rows, name) for name in names], axis=1)


def _columns(header: Header) -> dict[str, tuple[int, str, str]]:
    """For each non-empty column: repeat count, P or Q if it points to the heap, and item type."""
    found = {}
    for column in range(1, count_of(header, "TFIELDS") + 1):
        form = re.match(r"(\d{0,9})([PQ]?)([A-Z])", str(header.get(f"TFORM{column}", "")))
        if form is None or form[3] not in FORMS:
            raise ValueError(f"column {column} of the tile table has an unknown type")
        if form[1] != "0":
            found[str(header.get(f"TTYPE{column}", column)).strip()] = int(form[1] or 1), form[2], form[3]
    return found


def spans_needed(image: Image, spans: Spans | None, mask: Mask) -> Spans:
    """Start and stop offsets of all bytes that some tiles of an image need.

    Parameters
    ----------
    spans : (T, C, 2) int64, optional
        Offsets of a compressed image's tiles.
    mask : (H, W) bool
        The tiles.
    """
    if spans is not None:
        chosen = spans[mask.reshape(-1)].reshape(-1, 2)
        return chosen[chosen[:, 1] > chosen[:, 0]]
    pixel = abs(int(image.header["BITPIX"])) // 8
    found = []
    for lines, across in pixels_of(image, tile_blocks(mask)):
        first = image.data_start + (np.arange(lines.start, lines.stop) * image.shape[1] + across.start) * pixel
        found.append(np.stack([first, first + (across.stop - across.start) * pixel], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def merged_spans(spans: Spans, gap: int) -> list[tuple[int, int]]:
    """Sorted spans, merged where the gap between them is at most `gap` bytes."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted((int(a), int(b)) for a, b in spans):
        if found and start - found[-1][1] <= gap:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return found
