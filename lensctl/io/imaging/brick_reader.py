"""One open brick: its planes, and of each the pixels that were read, every tile once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lensctl.astro.wcs import Tan
from lensctl.io.cutouts.layout import EXTRAS
from lensctl.io.fits.tiles import Mask, no_tiles, pixels_of, tile_blocks, tile_shape
from lensctl.io.imaging.bricks import Plane, Root, layer_of, release_of
from lensctl.rules.errors import first_line

SHARE_FOR_WHOLE = 0.9  # of its tiles: read a plane whole when its cutouts need so many
OVERLAP = 1.25  # times that a tile is needed, on average, from where on tiles are kept rather than read again

Pixels = NDArray[Any]


def planes_of(name: str, bands: str, array: Pixels) -> list[tuple[str, Pixels]]:
    """What the files of a further array are called, and the part of it (N, S, S) that each fills."""
    if not EXTRAS[name].per_band:
        return [(name, array)]
    return [(f"{name}-{band}", array[..., b]) for b, band in enumerate(bands)]


@dataclass(frozen=True)
class Box:
    """The part of a cutout that lies on the image: in image pixels and in its own."""

    rows: slice
    columns: slice
    own_rows: slice
    own_columns: slice

    @classmethod
    def of(cls, low: int, left: int, size: int, shape: tuple[int, ...]) -> Box:
        """The cutout of a size whose first pixel is at a row and a column of an image of a shape."""
        rows, columns = slice(max(low, 0), min(low + size, shape[0])), slice(max(left, 0), min(left + size, shape[1]))
        own_rows, own_columns = (
            slice(rows.start - low, rows.stop - low),
            slice(columns.start - left, columns.stop - left),
        )
        return cls(rows, columns, own_rows, own_columns)

    def tiles(self, tile: tuple[int, int]) -> tuple[slice, slice]:
        """The tiles it touches."""
        down, across = (
            slice(pixels.start // side, (pixels.stop - 1) // side + 1)
            for pixels, side in zip((self.rows, self.columns), tile, strict=True)
        )
        return down, across


class OpenBrick:
    """The open planes of one brick, and what was read of them."""

    def __init__(self, name: str, planes: dict[str, Plane], damaged: dict[str, str]) -> None:
        self.name, self.planes, self.damaged = name, planes, damaged
        self.memory, self.keeps = Memory(), True
        self._read: dict[str, _Read] = {}
        first = next(iter(planes.values())).image
        self.tan, self.shape = Tan.of(first.header), first.shape
        self.release, self.layer = release_of(first.header), layer_of(first.header)
        for which, plane in planes.items():
            is_image = which.startswith("image-")
            if plane.image.shape != self.shape or (is_image and Tan.of(plane.image.header) != self.tan):
                names = [which.removeprefix("image-") for which in (which, next(iter(planes)))]
                raise ValueError(f"{names[0]} has another grid of pixels than {names[1]}")

    @classmethod
    async def open(cls, root: Root, name: str, folder: str, bands: str, extras: Sequence[str]) -> OpenBrick | None:
        """Open what a brick has of the planes wanted; None where it has no image.

        Raises OSError or ValueError where an image is damaged, Unanswered.
        """
        planes: dict[str, Plane] = {}
        damaged: dict[str, str] = {}
        wanted = {f"image-{band}": False for band in bands}
        wanted |= {which: True for extra in extras for which, _ in planes_of(extra, bands, np.zeros(len(bands)))}
        try:
            for which, is_extra in wanted.items():
                if is_extra and not planes:
                    return None
                try:
                    plane = await root.plane(folder, name, which)
                except (OSError, ValueError) as error:
                    if not is_extra:
                        raise _named(error, which) from error
                    damaged[which] = f"brick {name}, {_named(error, which)}"
                    continue
                if plane is not None:
                    planes[which] = plane
            return cls(name, planes, damaged) if planes else None
        except BaseException:
            for plane in planes.values():
                plane.close()
            raise

    async def fill(self, which: str, boxes: Sequence[Box], target: Pixels, rows: NDArray[np.int64]) -> None:
        """Copy boxes of one plane into (N, S, S) cutouts.

        Where they have many tiles in common, each tile is read once, into an array of the whole plane.
        """
        plane = self.planes[which]
        tile = tile_shape(plane.image)
        needed = no_tiles(plane.image)
        touched = 0
        for box in boxes:
            tiles = box.tiles(tile)
            needed[tiles] = True
            touched += (tiles[0].stop - tiles[0].start) * (tiles[1].stop - tiles[1].start)
        try:
            if which not in self._read and touched <= OVERLAP * np.count_nonzero(needed):
                await plane.fetch(needed)
                for row, box in zip(rows, boxes, strict=True):
                    plane.fill(box.rows, box.columns, target[row, box.own_rows, box.own_columns])
                return
            if which not in self._read:
                self._read[which] = _Read(plane, self.memory.take(plane.image.shape, target.dtype))
            await self._read[which].fill(needed)
        except (OSError, ValueError) as error:
            raise _named(error, which) from error
        pixels = self._read[which].pixels
        for row, box in zip(rows, boxes, strict=True):
            target[row, box.own_rows, box.own_columns] = pixels[box.rows, box.columns]
        if not self.keeps:
            self.memory.give(self._read.pop(which).pixels)

    def close(self) -> None:
        """Let go of its files, and give back what was read."""
        for plane in self.planes.values():
            plane.close()
        while self._read:
            self.memory.give(self._read.popitem()[1].pixels)


class Memory:
    """Arrays for whole planes, used again: to get memory costs more than to fill it."""

    def __init__(self) -> None:
        self._free: list[Pixels] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pixels:
        """An array with anything in it."""
        for i, array in enumerate(self._free):
            if array.shape == shape and array.dtype == dtype:
                return self._free.pop(i)
        return np.empty(shape, dtype)

    def give(self, array: Pixels) -> None:
        """Take an array back that nobody needs."""
        self._free.append(array)


class _Read:
    """What was read of a plane: an array of its size, filled tile by tile, each once."""

    def __init__(self, plane: Plane, pixels: Pixels) -> None:
        self.plane, self.pixels = plane, pixels
        self.tile = tile_shape(plane.image)
        self.there: Mask | None = None

    async def fill(self, needed: Mask) -> None:
        """Have the pixels of some tiles."""
        lacking = needed if self.there is None else needed & ~self.there
        if not lacking.any():
            return
        if self.there is None and lacking.mean() >= SHARE_FOR_WHOLE:
            lacking = np.ones_like(needed)
        await self.plane.fetch(None if lacking.all() else lacking)
        for rows, columns in pixels_of(self.plane.image, tile_blocks(lacking)):
            self.plane.fill(rows, columns, self.pixels[rows, columns])
        self.there = lacking if self.there is None else self.there | lacking


def _named(error: OSError | ValueError, which: str) -> ValueError:
    """The same failure, with the plane that failed."""
    return ValueError(f"{which.removeprefix('image-')}: {reason_of(error)}")


def reason_of(error: BaseException) -> str:
    """First line of an error, without the folder a file is in."""
    return re.sub(r"\S*/(?=legacysurvey-)|/dev/fd/\d+", "", first_line(error, 1000))[:200]
