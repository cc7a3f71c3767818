"""Brick coadds on S3 or a web server: only the bytes that the requested pixels need are fetched."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.io.fits.header import LONGEST_HEADER, MAGIC, find_image
from lensctl.io.fits.tiles import Mask, Spans, merged_spans, spans_needed, table_bytes, tile_spans
from lensctl.io.imaging.bricks import BRICK_TABLES, REGIONS, bases_of, file_names, read_bricks
from lensctl.io.imaging.http_ranges import NoRanges, Objects, Version
from lensctl.io.imaging.local_bricks import FitsFile, refuse_not_2d, refuse_short
from lensctl.io.imaging.source import Unanswered
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, from_json, step_input
from lensctl.io.temporary import temporary_folder
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST_NOTE, LARGEST_TABLE = 64 << 20, 1 << 30  # bytes of provenance, and of a table of bricks
FIRST_BYTES = 64 << 10  # usually enough for headers and tile table of a coadd
GAP_BYTES = 32 << 10  # smaller gaps are fetched rather than split into separate requests


class RemoteBricks:
    """Brick coadds under a URL, laid out as in a folder; see `Root` for the methods.

    Parameters
    ----------
    url : str
        `s3://bucket/prefix`, or the `http://` or `https://` URL that holds `coadd/`.
    at_once, timeout, tries
        See `open_root`; S3 has its own timeout and retries.
    """

    def __init__(
        self, url: str, survey: Survey = LS_DR10, *, at_once: int = 8, timeout: float = 60.0, tries: int = 6
    ) -> None:
        self.url, self._survey, self.at_once = url, survey, at_once
        self._objects = Objects(url, timeout, tries)
        self.name = self._objects.name()
        self._base: dict[str, str] = {}
        """Where the bricks of each region lie, once one has been found."""

    def refuse_empty(self) -> None:
        """Raise InputError if there are no coadds, as far as is known, ServiceError if there is no response."""
        names = self._objects.top()
        bricks = self._survey.bricks
        starts = (*(folder.split("/")[0] for folder in bricks.folders), *REGIONS, f"{bricks.prefix}-")
        if names is not None and not any(name.startswith(starts) for name in names):
            raise InputError(
                f"{self.url}: holds no {bricks.folders[0]}/ and no {bricks.prefix}-BRICK-image-*.fits",
                "give --root .../dr10/south",
            )

    async def folder(self, brick: str, region: str = "") -> str | None:
        """Folder of a brick's files, relative to the root; None if they are in none of the usual places."""
        if region not in self._base:
            for base in (*bases_of(self._survey.bricks.folders, region, self.name), "."):
                images = (f"image-{band}" for band in self._survey.bands)
                names = [name for image in images for name in file_names(brick, image, self._survey.bricks.prefix)]
                for name in names:
                    if await self._objects.has(f"{_below(base, brick)}/{name}"):
                        self._base[region] = base
                        return _below(base, brick)
            return None
        return _below(self._base[region], brick)

    async def plane(self, folder: str, brick: str, name: str) -> RemoteFile | None:
        """One plane of a brick; None if there is no such file."""
        for file in file_names(brick, name, self._survey.bricks.prefix):
            try:
                return await RemoteFile.open(self._objects, f"{folder}/{file}")
            except FileNotFoundError:
                continue
        return None

    def origin(self) -> tuple[Input, Chain] | None:
        """The root as an input of a step, from a `provenance.json` in it or its parent folder; None without one."""
        for above in (False, True):
            with temporary_folder("brick") as folder:
                note = folder / "provenance.json"
                if self._objects.download(note.name, note, LARGEST_NOTE, above=above):
                    chain = from_json(note.read_bytes(), f"{self.url}: {note.name}")
                    name = self._objects.name(above)
                    return step_input("root", name, digests.of_file(note), chain), chain
        return None

    def brick_table(self) -> pa.Table | None:
        """The survey's table of bricks, from the root or its parent folder; None if there is none."""
        for above in (False, True):
            for name in BRICK_TABLES:
                with temporary_folder("brick") as folder:
                    file = folder / name
                    if self._objects.download(name, file, LARGEST_TABLE, above=above):
                        return read_bricks(str(file))
        return None


def _below(base: str, brick: str) -> str:
    return base if base == "." else f"{base}/{brick[:3]}/{brick}"


class RemoteFile(FitsFile):
    """A sparse local copy of a remote FITS file, filled in as its tiles are needed.

    fitsio reads it like any file, so the pixels are the same. The copy has no name, so nothing is left of it however
    the process ends.
    """

    def __init__(self, objects: Objects, name: str) -> None:
        self._objects, self._name = objects, name
        self._copy = tempfile.TemporaryFile(prefix="lensctl-")  # noqa: SIM115
        self.path = Path(f"/dev/fd/{self._copy.fileno()}")
        self._hdus = self._handle = self._tiles = self._unpacked = None
        self._gzipped = []
        self._tiles_checked = name.endswith(".gz")
        self._version: Version | None = None
        self._spans: Spans | None = None
        self._is_whole = False

    @classmethod
    async def open(cls, objects: Objects, name: str) -> RemoteFile:
        """Fetch the headers and the tile table.

        Raises FileNotFoundError, ValueError if it is not a complete image, Unanswered.
        """
        file = cls(objects, name)
        try:
            await file._begin()
        except BaseException:
            file.close()
            raise
        return file

    async def fetch(self, tiles: Mask | None) -> None:
        """Make some of the image's tiles available, or all."""
        if self._is_whole:
            return
        super().close()  # fitsio may have buffered a hole
        if tiles is None:
            await self._fetch_all()
            return
        for start, stop in merged_spans(spans_needed(self.image, self._spans, tiles), GAP_BYTES):
            await self._fill(start, stop)

    def close(self) -> None:
        """Close and discard the copy."""
        super().close()
        self._copy.close()

    async def _begin(self) -> None:
        if not self._objects.ranges or self._name.endswith(".gz"):
            await self._fetch_all()
            return
        try:
            begin, self._version = await self._objects.read(self._name, 0, FIRST_BYTES)
        except NoRanges:
            self._objects.ranges = False
            await self._fetch_all()
            return
        except Unanswered as error:
            if error.http_status == 416:
                raise ValueError("the file is empty") from error
            raise
        if not begin.startswith(MAGIC):
            raise ValueError("not FITS" if begin else "the file is empty")
        size, length = self._version.size, len(begin)
        os.ftruncate(self._copy.fileno(), size)
        os.pwrite(self._copy.fileno(), begin, 0)
        while True:
            try:
                self.image = find_image(io.BytesIO(os.pread(self._copy.fileno(), length, 0)))
                break
            except ValueError:
                if length == size or length >= LONGEST_HEADER:
                    raise
                await self._fill(length, min(2 * length, size))
                length = min(2 * length, size)
        refuse_not_2d(self.image)
        refuse_short(self.image, size)
        table = table_bytes(self.image)
        if self.image.data_start + table > length:
            await self._fill(length, self.image.data_start + table)
        if table:
            rows = os.pread(self._copy.fileno(), table, self.image.data_start)
            self._spans = tile_spans(self.image, rows)

    async def _fill(self, start: int, stop: int) -> None:
        data, version = await self._objects.read(self._name, start, stop)
        self._refuse_other_version(version)
        os.pwrite(self._copy.fileno(), data, start)

    async def _fetch_all(self) -> None:
        self._refuse_other_version(await self._objects.read_whole(self._name, self._copy.fileno()))
        self._is_whole = True
        if self._name.endswith(".gz"):
            self._unpack()
        else:
            with self.path.open("rb") as file:
                self.image = find_image(file)
            refuse_short(self.image, os.fstat(self._copy.fileno()).st_size)
        refuse_not_2d(self.image)

    def _refuse_other_version(self, version: Version) -> None:
        self._version = self._version or version
        if version != self._version:
            raise OSError("it changed while it was read")
