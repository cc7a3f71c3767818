"""A fast parser of FITS image headers, from bytes."""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 2880
CARD = 80
MAGIC = b"SIMPLE  ="
BITPIX = (8, 16, 32, 64, -32, -64)
MOST_AXES = 9
LARGEST = 1 << 62
"""Numbers of a header above this are taken for damage."""
LARGEST_SIDE_PX = 20_000
"""Of an image: five times that of a brick."""
LARGEST_TILE_PX = 1 << 24
MOST_BYTES_A_PIXEL = 16
LONGEST_HEADER = 4 << 20

Header = dict[str, str | float | int | bool]


@dataclass(frozen=True)
class Image:
    """Position of an image in a file, and its header.

    Parameters
    ----------
    header : dict
        Values by keyword; for duplicate keywords the first value.
    extension : int
        HDU number.
    data_start, data_bytes : int
        Offset and length in bytes of its data as stored (compressed or not).
    shape : tuple of int
        NumPy order: the last axis is FITS axis 1.
    tile : tuple of int
        Shape of a compression tile; a row of pixels if uncompressed.
    """

    header: Header
    extension: int
    data_start: int
    data_bytes: int
    shape: tuple[int, ...]
    tile: tuple[int, ...]


def find_image(file: BinaryIO, last: int = 1) -> Image:
    """The first image with pixels, compressed or not, among HDUs 0 to `last` of a file.

    Raises ValueError if there is none, or the file is not FITS.
    """
    start = 0
    for extension in range(last + 1):
        file.seek(start)
        header, length = read_header(file)
        start += length
        size = data_bytes(header)
        compressed = header.get("ZIMAGE") is True
        if compressed or (header.get("NAXIS", 0) and str(header.get("XTENSION", "IMAGE")).strip() == "IMAGE"):
            z = "Z" if compressed else ""
            axes = range(min(count_of(header, f"{z}NAXIS"), MOST_AXES), 0, -1)
            shape = tuple(count_of(header, f"{z}NAXIS{axis}") for axis in axes)
            row = (*(1 for _ in shape[1:]), shape[-1])
            tile = tuple(count_of(header, f"ZTILE{axis}", row[-axis]) for axis in axes) if compressed else row
            _refuse_impossible(header, size, shape, tile)
            return Image(header, extension, start, size, shape, tile)
        start += -(-size // BLOCK) * BLOCK
    raise ValueError("no image")


def _refuse_impossible(header: Header, size: int, shape: tuple[int, ...], tile: tuple[int, ...]) -> None:
    """Raise ValueError for an image that no coadd can be: of this shape, in these tiles, in so many bytes."""
    tiles = [min(side, length) for side, length in zip(tile, shape, strict=True)]
    if not (shape and all((*shape, *tile)) and max(shape) <= LARGEST_SIDE_PX and math.prod(tiles) <= LARGEST_TILE_PX):
        raise ValueError(f"an image of shape {shape} in tiles of {tile}")
    if size > math.prod(shape) * MOST_BYTES_A_PIXEL + LONGEST_HEADER:
        raise ValueError(f"{size} bytes for an image of shape {shape}")
    if header.get("ZIMAGE") is True:
        count = math.prod(-(-length // side) for side, length in zip(tile, shape, strict=True))
        if count_of(header, "NAXIS2") != count:
            raise ValueError(f"a table of {header['NAXIS2']} tiles, not {count}")


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Read the header at a file's position; returns its cards and length in bytes. ValueError if it has no END.

    A text is as long as the CONTINUE cards behind it make it.
    """
    header: Header = {}
    more: dict[str, list[str]] = {}
    length, name = 0, ""
    while True:
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            raise ValueError("truncated header" if length or block else "the file is empty")
        if not length and block[: len(MAGIC)] != MAGIC and block[:8] != b"XTENSION":
            raise ValueError("not FITS")
        length += BLOCK
        if length > LONGEST_HEADER:
            raise ValueError("a header without an end")
        for at in range(0, BLOCK, CARD):
            key = block[at : at + 8]
            if key == b"END     ":
                return header | {name: _joined(header[name], texts) for name, texts in more.items()}, length
            if block[at + 8 : at + 10] == b"= ":
                name = key.rstrip().decode("ascii", "replace")
                if name in header:
                    name = ""
                else:
                    header[name] = _value(block[at + 10 : at + CARD].decode("ascii", "replace"))
            elif key == b"CONTINUE" and name:
                more.setdefault(name, []).append(str(_value(block[at + 10 : at + CARD].decode("ascii", "replace"))))


def count_of(header: Header, key: str, default: int | None = None) -> int:
    """A count of a header, such as NAXIS1; ValueError if it is missing, or anything but a whole number from 0 on."""
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise ValueError(f"no {key} in the header" if value is None else f"{key} is {str(value)[:20]}")
    return value


def number_of(header: Header, key: str) -> float:
    """A finite number of a header, such as CRVAL1; NaN if it is missing or anything else."""
    value = header.get(key)
    if isinstance(value, bool | str) or value is None or not -LARGEST <= value <= LARGEST:
        return math.nan
    return float(value)


def data_bytes(header: Header) -> int:
    """Bytes of data after a header, without padding; ValueError if it does not say."""
    axes = count_of(header, "NAXIS", 0)
    if not axes:
        return 0
    if axes > MOST_AXES:
        raise ValueError(f"NAXIS is {axes}")
    bits = header.get("BITPIX")
    if bits not in BITPIX:
        raise ValueError(f"BITPIX is {str(bits)[:20]}")
    count = math.prod(count_of(header, f"NAXIS{axis}") for axis in range(1, axes + 1))
    return abs(int(bits)) // 8 * count_of(header, "GCOUNT", 1) * (count_of(header, "PCOUNT", 0) + count)


def _joined(value: str | float, texts: list[str]) -> str | float:
    """A text that goes on in further ones: each of them but the last ends with &."""
    if not isinstance(value, str) or not value.endswith("&"):
        return value
    return "".join(text.removesuffix("&") for text in (value, *texts[:-1])) + texts[-1]


@functools.lru_cache(maxsize=4096)  # files share most of their cards
def _value(text: str) -> str | float | int | bool:
    text = text.strip()
    if text.startswith("'"):
        end = text.find("'", 1)
        while end != -1 and text[end : end + 2] == "''":
            end = text.find("'", end + 2)
        return text[1:end].replace("''", "'").rstrip()
    text = text.split("/", 1)[0].strip()
    if text in ("T", "F"):
        return text == "T"
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        return float(text.replace("D", "E"))
    return text
