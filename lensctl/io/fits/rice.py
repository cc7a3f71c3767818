"""Decodes quantised, Rice-compressed float images, such as the survey's coadds, tile by tile with astropy's decoders.

Pixels are bit-identical to astropy's and fitsio's; fitsio takes half as long again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lensctl.io.fits.header import Header, Image, count_of
from lensctl.io.fits.tiles import Table, no_tiles, spans_of, table_bytes, tile_shape, tile_table

BLOCK_PIXELS, BYTES_OF_PIXEL = 32, 4
DITHERS = {"SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}
DATA, SCALE, ZERO = "COMPRESSED_DATA", "ZSCALE", "ZZERO"

Read = Callable[[int, int], bytes]
"""Bytes of a file from a start to a stop offset."""


class RiceTiles:
    """The tiles of one image; see `of` for which images."""

    def __init__(self, image: Image, table: Table, read: Read) -> None:
        self._image, self._read = image, read
        self._spans = spans_of(image, table, DATA)
        self._scale, self._zero = table[SCALE].astype(float), table[ZERO].astype(float)
        self._first = count_of(image.header, "ZDITHER0", 0)
        self._dither = DITHERS[str(image.header["ZQUANTIZ"])]
        self._blank = image.header.get("ZBLANK")
        self._across = no_tiles(image).shape[1]

    @classmethod
    def of(cls, image: Image, read: Read) -> RiceTiles | None:
        """The tiles of an image; None for other compressions, or if astropy has moved its decoders.

        Raises ValueError if the tile table is damaged.
        """
        if not _is_supported(image.header) or _decoders() is None:
            return None
        start = image.data_start
        table = tile_table(image, read(start, start + table_bytes(image)))
        if not {DATA, SCALE, ZERO} <= set(table.dtype.names or ()) or "ZBLANK" in (table.dtype.names or ()):
            return None
        tiles = cls(image, table, read)
        return tiles if np.all(tiles._spans[:, 1] > tiles._spans[:, 0]) else None

    def fill(self, rows: slice, columns: slice, target: NDArray[np.float32]) -> None:
        """Copy the pixels of a box within the image to an array of the box's shape.

        Raises ValueError if a tile is damaged.
        """
        (height, width), (tall, wide) = self._image.shape, tile_shape(self._image)
        for down in range(rows.start // tall, (rows.stop - 1) // tall + 1):
            for across in range(columns.start // wide, (columns.stop - 1) // wide + 1):
                low, left = down * tall, across * wide
                shape = min(tall, height - low), min(wide, width - left)
                pixels = self._decoded(down * self._across + across, shape)
                lines = slice(max(rows.start, low), min(rows.stop, low + shape[0]))
                places = slice(max(columns.start, left), min(columns.stop, left + shape[1]))
                target[_from(lines, rows.start), _from(places, columns.start)] = pixels[
                    _from(lines, low), _from(places, left)
                ]

    def _decoded(self, tile: int, shape: Sequence[int]) -> NDArray[np.float32]:
        Quantize = _decoders()[1]
        start, stop = (int(byte) for byte in self._spans[tile])
        coded = np.frombuffer(self._read(start, stop), np.uint8)
        if len(coded) != stop - start:
            raise ValueError("truncated tile")
        count = shape[0] * shape[1]
        numbers = unpacked(coded, count)
        quantize = Quantize(row=tile + self._first, dither_method=self._dither, quantize_level=0, bitpix=-32)
        pixels = np.asarray(quantize.decode_quantized(numbers, self._scale[tile], self._zero[tile]))
        if self._blank is not None:
            is_blank = numbers == self._blank
            if is_blank.any():
                pixels = np.where(is_blank, np.float32(np.nan), pixels)
        return pixels.reshape(shape)


def unpacked(coded: NDArray[np.uint8], count: int, bytes_of_number: int = BYTES_OF_PIXEL) -> NDArray[Any]:
    """So many integers from their Rice-compressed bytes; ValueError if they are damaged."""
    decoders = _decoders()
    if decoders is None:
        raise ValueError("packed by Rice, which this astropy does not unpack")
    Rice1, _, CfitsioException = decoders
    try:
        return np.asarray(Rice1(blocksize=BLOCK_PIXELS, bytepix=bytes_of_number, tilesize=count).decode(coded))
    except CfitsioException as error:
        raise ValueError(f"a tile is damaged ({error})") from error


@functools.cache
def _decoders() -> Any:
    """astropy's private Rice and quantisation decoders, and their exception; None if moved."""
    try:
        from astropy.io.fits.hdu.compressed._codecs import Rice1
        from astropy.io.fits.hdu.compressed._compression import CfitsioException
        from astropy.io.fits.hdu.compressed._quantization import Quantize
    except ImportError:
        return None
    return Rice1, Quantize, CfitsioException


def _is_supported(header: Header) -> bool:
    named = {str(header[f"ZNAME{i}"]): header.get(f"ZVAL{i}") for i in range(1, 5) if f"ZNAME{i}" in header}
    usual: dict[str, Any] = {"BLOCKSIZE": BLOCK_PIXELS, "BYTEPIX": BYTES_OF_PIXEL}
    return (
        header.get("ZIMAGE") is True
        and header.get("ZCMPTYPE") in ("RICE_1", "RICE_ONE")
        and header.get("ZBITPIX") == -32
        and header.get("ZQUANTIZ") in DITHERS
        and all(named.get(name, value) == value for name, value in usual.items())
    )


def _from(place: slice, start: int) -> slice:
    return slice(place.start - start, place.stop - start)
