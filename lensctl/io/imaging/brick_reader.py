"""One open brick: its planes, and the pixels read so far, each tile once."""

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

SHARE_FOR_WHOLE = 0.9  # of its tiles: read the whole plane when its cutouts need this share
OVERLAP = 1.25  # cutouts per tile, on average, above which tiles are kept rather than re-read

Pixels = NDArray[Any]


def planes_of(name: str, bands: Sequence[str], array: Pixels) -> list[tuple[str, Pixels]]:
    """Plane names of an additional array, and the part of it (N, S, S) that each fills."""
    if not EXTRAS[name].per_band:
        return [(name, array)]
    return [(f"{name}-{band}", array[..., b]) for b, band in enumerate(bands)]


@dataclass(frozen=True)
class Box:
    """The part of a cutout that lies on the image, in image and in cutout pixels."""

    rows: slice
    columns: slice
    own_rows: slice
    own_columns: slice

    @classmethod
    def of(cls, low: int, left: int, size: int, shape: tuple[int, ...]) -> Box:
        """For a cutout whose first pixel is at row `low`, column `left` of an image."""
        rows, columns = slice(max(low, 0), min(low + size, shape[0])), slice(max(left, 0), min(left + size, shape[1]))
        own_rows, own_columns = (
            slice(rows.start - low, rows.stop - low),
            slice(columns.start - left, columns.stop - left),
        )
        return cls(rows, columns, own_rows, own_columns)

    def tiles(self, tile: tuple[int, int]) -> tuple[slice, slice]:
        """The tiles it overlaps."""
        down, across = (
            slice(pixels.start // side, (pixels.stop - 1) // side + 1)
            for pixels, side in zip((self.rows, self.columns), tile, strict=True)
        )
        return down, across


class OpenBrick:
    """The open planes of one brick, and the pixels read from them."""

    def __init__(self, name: str, planes: dict[str, Plane], damaged: dict[str, str]) -> None:
        self.name, self.planes, self.damaged = name, planes, damaged
        self.memory, self.keeps, self.folder = Memory(), True, ""
        self._read: dict[str, _ReadPlane] = {}
        first = next(iter(planes.values())).image
        self.tan, self.shape = Tan.of(first.header), first.shape
        self.release, self.layer = release_of(first.header), layer_of(first.header)
        for which, plane in planes.items():
            is_image = which.startswith("image-")
            if plane.image.shape != self.shape or (is_image and Tan.of(plane.image.header) != self.tan):
                names = [which.removeprefix("image-") for which in (which, next(iter(planes)))]
                raise ValueError(f"the pixel grid of {names[0]} differs from that of {names[1]}")

    @classmethod
    async def open(
        cls, root: Root, name: str, folder: str, bands: Sequence[str], extras: Sequence[str]
    ) -> OpenBrick | None:
        """Open those of the requested planes that a brick has; None if it has no image.

        Raises OSError or ValueError if an image is damaged, Unanswered.
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
                        raise _with_plane(error, which) from error
                    damaged[which] = f"brick {name}, {_with_plane(error, which)}"
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

        If they share many tiles, each tile is read once, into an array of the whole plane.
        """
        plane = self.planes[which]
        needed, touched = _tiles_of(plane, boxes)
        try:
            if which not in self._read and touched <= OVERLAP * np.count_nonzero(needed):
                await plane.fetch(needed)
                for row, box in zip(rows, boxes, strict=True):
                    plane.fill(box.rows, box.columns, target[row, box.own_rows, box.own_columns])
                return
            if which not in self._read:
                self._read[which] = _ReadPlane(plane, self.memory.take(plane.image.shape, target.dtype))
            await self._read[which].fill(needed)
        except (OSError, ValueError) as error:
            raise _with_plane(error, which) from error
        pixels = self._read[which].pixels
        for row, box in zip(rows, boxes, strict=True):
            target[row, box.own_rows, box.own_columns] = pixels[box.rows, box.columns]
        if not self.keeps:
            self.memory.give(self._read.pop(which).pixels)

    def bytes_of(self, boxes: Sequence[Box]) -> int:
        """Bytes of its images in the tiles that boxes touch, taking tiles of an image as equally large."""
        shares = ((plane.image.data_bytes, _tiles_of(plane, boxes)[0].mean()) for plane in self.planes.values())
        return round(float(sum(size * share for size, share in shares)))

    def close(self) -> None:
        """Close its files and release its arrays."""
        for plane in self.planes.values():
            plane.close()
        while self._read:
            self.memory.give(self._read.popitem()[1].pixels)


class Memory:
    """A pool of arrays for whole planes: allocating memory costs more than filling it."""

    def __init__(self) -> None:
        self._free: list[Pixels] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pixels:
        """An uninitialised array."""
        for i, array in enumerate(self._free):
            if array.shape == shape and array.dtype == dtype:
                return self._free.pop(i)
        return np.empty(shape, dtype)

    def give(self, array: Pixels) -> None:
        """Return an array to the pool."""
        self._free.append(array)


class _ReadPlane:
    """The pixels read from a plane: an array of its size, filled tile by tile."""

    def __init__(self, plane: Plane, pixels: Pixels) -> None:
        self.plane, self.pixels = plane, pixels
        self.tile = tile_shape(plane.image)
        self.filled: Mask | None = None

    async def fill(self, needed: Mask) -> None:
        """Read some tiles, unless already read."""
        missing = needed if self.filled is None else needed & ~self.filled
        if not missing.any():
            return
        if self.filled is None and missing.mean() >= SHARE_FOR_WHOLE:
            missing = np.ones_like(needed)
        await self.plane.fetch(None if missing.all() else missing)
        for rows, columns in pixels_of(self.plane.image, tile_blocks(missing)):
            self.plane.fill(rows, columns, self.pixels[rows, columns])
        self.filled = missing if self.filled is None else self.filled | missing


def _tiles_of(plane: Plane, boxes: Sequence[Box]) -> tuple[Mask, int]:
    """The tiles of a plane that boxes overlap, and how many each box overlaps, summed over boxes."""
    tile, needed, touched = tile_shape(plane.image), no_tiles(plane.image), 0
    for box in boxes:
        tiles = box.tiles(tile)
        needed[tiles] = True
        touched += (tiles[0].stop - tiles[0].start) * (tiles[1].stop - tiles[1].start)
    return needed, touched


def _with_plane(error: OSError | ValueError, which: str) -> ValueError:
    """The same error, prefixed with the plane."""
    return ValueError(f"{which.removeprefix('image-')}: {reason_of(error)}")


def reason_of(error: BaseException) -> str:
    """First line of an error, without folder names."""
    return re.sub(r"\S*/(?=legacysurvey-)|/dev/fd/\d+", "", first_line(error, 1000))[:200]
