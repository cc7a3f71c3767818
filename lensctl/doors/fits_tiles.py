"""Which bytes of a FITS file hold which pixels, so that of a file elsewhere only those have to be fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lensctl.doors.fits_cards import Header, Image

PIECE = (100, 100)  # what an image without tiles is cut into, in rows and columns
ITEM_BYTES = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "M": 16}

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


def blocks(mask: Mask) -> Iterator[tuple[slice, slice]]:
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


def tile_spans(image: Image, table: bytes) -> Spans:
    """Where the tiles of a compressed image lie.

    Parameters
    ----------
    image : Image
    table : bytes
        The first `table_bytes` of its data.

    Returns
    -------
    spans : (T, C, 2) int64
        First byte in the file, and the byte after the last, of what each of the table's C columns holds of a tile;
        equal where it holds nothing. The tiles of the first row of tiles come first.

    Raises
    ------
    ValueError
        A tile is said to lie outside the data.
    """
    width, count = int(image.header["NAXIS1"]), int(image.header["NAXIS2"])
    rows = np.frombuffer(table, np.uint8).reshape(count, width)
    heap = image.data_start + int(image.header.get("THEAP", width * count))
    found = []
    for at, long, item in _variable_columns(image.header):
        number = np.dtype(">i8" if long else ">i4")
        pair = rows[:, at : at + 2 * number.itemsize].copy().view(number).astype(np.int64)
        start = np.where(pair[:, 0] > 0, heap + pair[:, 1], heap)
        found.append(np.stack([start, start + pair[:, 0] * item], axis=1))
    spans = np.stack(found, axis=1)
    end = image.data_start + image.data_bytes
    if len(spans) != no_tiles(image).size or spans.min() < heap or spans.max() > end or (spans < 0).any():
        raise ValueError("the table of its tiles is damaged")
    return spans


def _variable_columns(header: Header) -> Iterator[tuple[int, bool, int]]:
    """Place in a row, whether numbers are of 64 bits, and bytes of an item, of each column that points to the heap."""
    at = 0
    for column in range(1, int(header["TFIELDS"]) + 1):
        form = re.match(r"(\d*)([PQ]?)([A-Z])", str(header[f"TFORM{column}"]))
        if form is None or form[3] not in ITEM_BYTES:
            raise ValueError(f"column {column} of its tiles is of an unknown kind")
        repeat = int(form[1] or 1)
        if form[2]:
            if repeat:
                yield at, form[2] == "Q", ITEM_BYTES[form[3]]
            at += repeat * (16 if form[2] == "Q" else 8)
        else:
            at += repeat * ITEM_BYTES[form[3]]


def needed(image: Image, spans: Spans | None, mask: Mask) -> Spans:
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
    for lines, across in pixels_of(image, blocks(mask)):
        first = image.data_start + (np.arange(lines.start, lines.stop) * image.shape[1] + across.start) * pixel
        found.append(np.stack([first, first + (across.stop - across.start) * pixel], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def joined(spans: Spans, gap: int) -> list[tuple[int, int]]:
    """The same bytes, in order, in as few spans as there are gaps of more than `gap` bytes between them."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted((int(a), int(b)) for a, b in spans):
        if found and start - found[-1][1] <= gap:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return found
