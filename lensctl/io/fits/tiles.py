"""Which bytes of a FITS file hold which pixels, so that of a file elsewhere only those have to be fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lensctl.io.fits.header import Header, Image

DAMAGED = "the table of its tiles is damaged"
PIECE = (100, 100)  # what an image without tiles is cut into, in rows and columns
FORMS = {"L": "u1", "B": "u1", "A": "S1", "I": ">i2", "J": ">i4", "E": ">f4", "K": ">i8", "D": ">f8"}

Table = NDArray[np.void]
Spans = NDArray[np.int64]
Mask = NDArray[np.bool_]


def tile_shape(image: Image) -> tuple[int, int]:
    """Rows and columns of the pieces that an image is read in: its tiles, if it is compressed."""
    rows, columns = image.tile if is_compressed(image) else PIECE
    return min(rows, image.shape[0]), min(columns, image.shape[1])


def is_compressed(image: Image) -> bool:
    """Whether the image lies in tiles in a table."""
    return image.header.get("ZIMAGE") is True


def no_tiles(image: Image) -> Mask:
    """A mask of the pieces of an image, (H, W) of them, all false."""
    rows, columns = tile_shape(image)
    return np.zeros((-(-image.shape[0] // rows), -(-image.shape[1] // columns)), bool)


def tile_blocks(mask: Mask) -> Iterator[tuple[slice, slice]]:
    """Rectangles, as slices of rows and columns, that together are the true places of a (H, W) mask, each once."""
    edges = np.diff(np.pad(mask, ((0, 1), (1, 1))).astype(np.int8), axis=1)
    runs: list[set[tuple[int, int]]] = [set() for _ in edges]
    for (row, start), stop in zip(np.argwhere(edges > 0).tolist(), np.nonzero(edges < 0)[1].tolist(), strict=True):
        runs[row].add((start, stop))
    begun: dict[tuple[int, int], int] = {}
    for row, here in enumerate(runs):
        for run in begun.keys() - here:
            yield slice(begun.pop(run), row), slice(*run)
        begun |= dict.fromkeys(here - begun.keys(), row)


def pixels_of(image: Image, blocks: Iterator[tuple[slice, slice]]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of pixels of rectangles of pieces."""
    rows, columns = tile_shape(image)
    height, width = image.shape
    for down, across in blocks:
        lines = slice(down.start * rows, min(down.stop * rows, height))
        yield lines, slice(across.start * columns, min(across.stop * columns, width))


def table_bytes(image: Image) -> int:
    """Bytes at the start of a compressed image's data that say where each tile is; 0 where there are no tiles."""
    return int(image.header["NAXIS1"]) * int(image.header["NAXIS2"]) if is_compressed(image) else 0


def tile_table(image: Image, table: bytes) -> Table:
    """The table of a compressed image's tiles, one row for each, the first row of tiles first.

    Parameters
    ----------
    image : Image
    table : bytes
        The first `table_bytes` of its data.

    Returns
    -------
    table : (T,) structured
        What points to the heap is a pair: items there, and bytes from its beginning.

    Raises
    ------
    ValueError
        It is damaged, or not of as many rows as there are tiles.
    """
    fields = []
    for name, (repeat, pointer, item) in _columns(image.header).items():
        kind = FORMS[item] if not pointer else ">i8" if pointer == "Q" else ">i4"
        fields.append((name, kind, (2,) if pointer else (repeat,) if repeat != 1 else ()))
    row = np.dtype(fields)
    if row.itemsize != int(image.header["NAXIS1"]) or len(table) != row.itemsize * no_tiles(image).size:
        raise ValueError(DAMAGED)
    return np.frombuffer(table, row)


def spans_of(image: Image, table: Table, name: str) -> Spans:
    """First byte in the file, and the byte after the last, of what a column holds of each tile: (T, 2).

    Raises ValueError where a tile is said to lie outside the data.
    """
    item = np.dtype(FORMS[_columns(image.header)[name][2]]).itemsize
    heap = image.data_start + int(image.header.get("THEAP", table_bytes(image)))
    pair = table[name].astype(np.int64)
    start = np.where(pair[:, 0] > 0, heap + pair[:, 1], heap)
    spans = np.stack([start, start + pair[:, 0] * item], axis=1)
    end = image.data_start + image.data_bytes
    if spans.min() < heap or spans.max() > end or (spans[:, 1] < spans[:, 0]).any():
        raise ValueError(DAMAGED)
    return spans


def tile_spans(image: Image, table: bytes) -> Spans:
    """Where the tiles of a compressed image lie, for all C columns that point to the heap: (T, C, 2); see `spans_of`.

    ValueError as of `tile_table` and `spans_of`.
    """
    rows = tile_table(image, table)
    names = [name for name, (_, pointer, _) in _columns(image.header).items() if pointer]
    return np.stack([spans_of(image, rows, name) for name in names], axis=1)


def _columns(header: Header) -> dict[str, tuple[int, str, str]]:
    """Of each column with anything in it: how often, P or Q where it points to the heap, and the kind of an item."""
    found = {}
    for column in range(1, int(header["TFIELDS"]) + 1):
        form = re.match(r"(\d*)([PQ]?)([A-Z])", str(header[f"TFORM{column}"]))
        if form is None or form[3] not in FORMS:
            raise ValueError(f"column {column} of its tiles is of an unknown kind")
        if form[1] != "0":
            found[str(header.get(f"TTYPE{column}", column)).strip()] = int(form[1] or 1), form[2], form[3]
    return found


def spans_needed(image: Image, spans: Spans | None, mask: Mask) -> Spans:
    """First byte and the byte after the last of all that some pieces of an image need.

    Parameters
    ----------
    spans : (T, C, 2) int64, optional
        Of the tiles of a compressed image.
    mask : (H, W) bool
        The pieces.
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
    """The same bytes, in order, in as few spans as there are gaps of more than `gap` bytes between them."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted((int(a), int(b)) for a, b in spans):
        if found and start - found[-1][1] <= gap:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return found
