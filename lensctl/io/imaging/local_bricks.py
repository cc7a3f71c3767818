"""Brick coadds in a local folder, read with fitsio or, if Rice-compressed, directly by tiles."""

from __future__ import annotations

import glob
import gzip
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lensctl.io.fits.header import BLOCK, MOST_BYTES_A_PIXEL, Image, find_image
from lensctl.io.fits.rice import RiceTiles
from lensctl.io.fits.tiles import Mask, Spans, gzipped_spans, no_tiles, table_bytes, tile_shape
from lensctl.io.imaging.bricks import BRICK_TABLES, REGIONS, Pixels, bases_of, file_names, read_bricks
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, from_json, step_input
from lensctl.io.unpacking import gunzipping, refuse_broken
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa


PIECE_BYTES = 1 << 20


class LocalBricks:
    """Brick coadds in a local folder, laid out as on the survey's server, or all in that one folder.

    Raises InputError if the folder does not exist or holds no coadds.
    """

    at_once = 1

    def __init__(self, root: str | Path, survey: Survey = LS_DR10) -> None:
        self.root, self._prefix = Path(root), survey.bricks.prefix
        self.name = self.root.absolute().name
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder", "give the folder that holds coadd/, such as .../dr10/south")
        self._folders = survey.bricks.folders
        regional = dict.fromkeys(base for region in ("", *REGIONS) for base in bases_of(self._folders, region, ""))
        there = [name for name in regional if (self.root / name).is_dir()]
        self.bases = [name for name in self._folders if name in there] or there
        self.flat = not self.bases and any(self.root.glob(f"{self._prefix}-*-image-*.fits*"))
        if not self.bases and not self.flat:
            raise InputError(
                f"{root}: holds no {survey.bricks.folders[0]}/ and no {self._prefix}-BRICK-image-*.fits",
                "give --root .../dr10/south",
            )

    def refuse_empty(self) -> None:
        """No-op: checked on opening."""

    async def folder(self, brick: str, region: str = "") -> str | None:
        """Folder of a brick's files, relative to the root; None if there are none, or only those of another region."""
        bases = bases_of(self._folders, region, self.name) if region else self.bases
        if self.flat and self.name not in set(REGIONS) - {region or self.name}:
            return "." if any(self.root.glob(f"{self._prefix}-{glob.escape(brick)}-image-*.fits*")) else None
        for base in bases:
            if (self.root / base / brick[:3] / brick).is_dir():
                return f"{base}/{brick[:3]}/{brick}"
        return None

    async def plane(self, folder: str, brick: str, name: str) -> FitsFile | None:
        """One plane of a brick; None if there is no such file."""
        for file in file_names(brick, name, self._prefix):
            if (self.root / folder / file).is_file():
                return FitsFile(self.root / folder / file)
        return None

    def origin(self) -> tuple[Input, Chain] | None:
        """The root as an input of a step, from a `provenance.json` in it or its parent folder; None without one."""
        for folder in (self.root.absolute(), self.root.absolute().parent):
            note = folder / "provenance.json"
            if note.is_file():
                chain = from_json(note.read_bytes(), str(note))
                return step_input("root", folder, digests.of_file(note), chain), chain
        return None

    def brick_table(self) -> pa.Table | None:
        """The survey's table of bricks, from the root or its parent folder; None if there is none."""
        for folder in (self.root, self.root.absolute().parent):
            for name in BRICK_TABLES:
                if (folder / name).is_file():
                    return read_bricks(str(folder / name))
        return None


class FitsFile:
    """One image on disk; of a tile-compressed one, only the requested tiles are decompressed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hdus: Any = None
        self._handle: int | None = None
        self._gzipped: list[Spans] = []
        self._tiles: RiceTiles | None = None
        self._tiles_checked = path.name.endswith(".gz")
        self._unpacked: BinaryIO | None = None
        if path.name.endswith(".gz"):
            self._unpack()
        else:
            with path.open("rb") as file:
                self.image = find_image(file)
            refuse_short(self.image, path.stat().st_size)
        refuse_not_2d(self.image)

    async def fetch(self, tiles: Mask | None) -> None:
        """No-op: everything is available."""

    def fill(self, rows: slice, columns: slice, target: Pixels) -> None:
        """Copy the pixels of a box within the image to an array of the box's shape."""
        if not self._tiles_checked:
            self._tiles, self._tiles_checked = RiceTiles.of(self.image, self._bytes), True
        if self._tiles is not None:
            self._tiles.fill(rows, columns, target)
        else:
            hdu = self._hdu()
            self._refuse_broken_tiles(rows, columns)
            target[...] = hdu[rows, columns]

    def close(self) -> None:
        """Close the file."""
        if self._hdus is not None:
            self._hdus.close()
            self._hdus = None
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if self._unpacked is not None:
            self._unpacked.close()
            self._unpacked = None

    def _unpack(self) -> None:
        """Read from a copy instead, without a name, that holds the unpacked file up to the end of its image."""
        with gunzipping(), gzip.open(self.path, "rb") as packed:
            self.image = find_image(packed)  # type: ignore[arg-type]
            needed = self.image.data_start + self.image.data_bytes
            copy = self._unpacked = tempfile.TemporaryFile(prefix="lensctl-")  # noqa: SIM115
            packed.seek(0)
            while room := -(-needed // BLOCK) * BLOCK - copy.tell():
                part = packed.read(min(room, PIECE_BYTES))
                if not part:
                    break
                copy.write(part)
        copy.flush()
        refuse_short(self.image, copy.tell())
        self.path = Path(f"/dev/fd/{copy.fileno()}")

    def _bytes(self, start: int, stop: int) -> bytes:
        return os.pread(self._opened(), stop - start, start)

    def _opened(self) -> int:
        if self._handle is None:
            self._handle = os.open(self.path, os.O_RDONLY)
        return self._handle

    def _refuse_broken_tiles(self, rows: slice, columns: slice) -> None:
        """Raise ValueError if a gzipped tile of a box is damaged: cfitsio would unpack it for ever."""
        tall, wide = tile_shape(self.image)
        numbers = np.arange(no_tiles(self.image).size).reshape(no_tiles(self.image).shape)
        down, across = (
            slice(rows.start // tall, -(-rows.stop // tall)),
            slice(columns.start // wide, -(-columns.stop // wide)),
        )
        for spans in self._gzipped:
            for start, stop in spans[numbers[down, across].reshape(-1)].tolist():
                if stop > start:
                    refuse_broken(self._bytes(start, stop), tall * wide * MOST_BYTES_A_PIXEL)

    def _hdu(self) -> Any:
        import fitsio

        if self._hdus is None:
            if table := table_bytes(self.image):
                start = self.image.data_start
                self._gzipped = gzipped_spans(self.image, self._bytes(start, start + table))
            self._hdus = fitsio.FITS(f"/dev/fd/{self._opened()}")  # cfitsio takes [ ] in a path for a syntax of its own
        return self._hdus[self.image.extension]


def refuse_short(image: Image, size: int) -> None:
    """Raise ValueError if a file of this size in bytes cannot hold the complete image."""
    needed = image.data_start + image.data_bytes
    if size < needed:
        raise ValueError(f"truncated: {size} of {needed} bytes")


def refuse_not_2d(image: Image) -> None:
    """Raise ValueError if an image is not two-dimensional."""
    if len(image.shape) != 2:
        raise ValueError(f"an image of shape {image.shape}, not two-dimensional")
