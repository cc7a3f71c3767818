"""Where brick coadds are: folders laid out as the survey's server lays them out, and which brick holds a position."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lensctl.io.fits.header import Header, Image, find_image
from lensctl.io.fits.rice import RiceTiles
from lensctl.io.fits.tiles import Mask
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, from_json, step_input
from lensctl.io.storage.atomic import is_s3
from lensctl.rules import schema
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

BRICK = re.compile(r"[0-9]{4}[pm][0-9]{3}")
ENDINGS = (".fits.fz", ".fits", ".fits.gz")
LAYOUTS = ("coadd", "south/coadd")
BRICK_TABLES = ("survey-bricks.fits.gz", "survey-bricks.fits")
BRICK_CORNERS = ("brickname", "ra1", "ra2", "dec1", "dec2")
BRICK_COLUMN = "brick of the cutout"
"""Column that a source adds to a table of objects."""

Pixels = NDArray[Any]


class Unanswered(Exception):
    """A place elsewhere did not give what was asked for; what it has may be had another time.

    Attributes
    ----------
    status : str
        http_error or timeout.
    http_status : int, optional
        What it answered.
    """

    def __init__(self, status: str, reason: str, http_status: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.http_status = status, http_status


class Plane(Protocol):
    """One image of one brick: one band of it, or what all bands have in common."""

    image: Image

    async def fetch(self, tiles: Mask | None) -> None:
        """Have some of the image's pieces (see `fits_tiles.tile_shape`) at hand, or all of them."""

    def fill(self, rows: slice, columns: slice, target: Pixels) -> None:
        """Copy the pixels of a box that lies within the image, on pieces that are at hand, to an array of its shape."""

    def close(self) -> None:
        """Let go of the file."""


class Root(Protocol):
    """A place with brick coadds.

    Attributes
    ----------
    name : str
        Base name of its path, without host or folders.
    at_once : int
        Bricks worth having in hand at the same time.
    """

    name: str
    at_once: int

    def refuse_nothing(self) -> None:
        """Raise InputError where there are no coadds, ServiceError where there is no answer."""

    async def folder(self, brick: str) -> str | None:
        """Where a brick's files are, relative to the root; None where there are none."""

    async def plane(self, folder: str, brick: str, name: str) -> Plane | None:
        """One plane of a brick, such as `image-g` or `maskbits`; None where there is no such file.

        OSError or ValueError where it is not whole, Unanswered where there is no telling.
        """

    def origin(self) -> tuple[Input, Chain] | None:
        """The root as an input of a step, where a `provenance.json` in it, or in the folder it is in, says how."""

    def brick_table(self) -> pa.Table | None:
        """The survey's table of bricks, from the root or the folder it is in; None where there is none."""


def open_root(root: str, *, at_once: int = 8, timeout: float = 60.0, tries: int = 6) -> Root:
    """The place of a root: a folder, `s3://`, or `http://`.

    Parameters
    ----------
    at_once : int
        Requests at the same time, to one that is not a folder.
    timeout : float
        Seconds for one answer.
    tries : int
        Requests for one thing at most.
    """
    if is_s3(root) or is_http(root):
        from lensctl.io.imaging.remote_bricks import Remote

        return Remote(root, at_once=at_once, timeout=timeout, tries=tries)
    return Disk(root)


def is_http(root: str | Path) -> bool:
    """Whether a root is served by a web server."""
    return str(root).startswith(("http://", "https://"))


def file_names(brick: str, name: str) -> list[str]:
    """What the file of a brick's plane may be called."""
    return [f"legacysurvey-{brick}-{name}{ending}" for ending in ENDINGS]


class Disk:
    """Brick coadds in a local folder, laid out as on the survey's server, or all in that one folder.

    Raises InputError where the folder does not exist or holds nothing of the kind.
    """

    at_once = 1

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.name = self.root.absolute().name
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder", "give the folder that holds coadd/, such as .../dr10/south")
        self.bases = [name for name in LAYOUTS if (self.root / name).is_dir()]
        self.flat = not self.bases and any(self.root.glob("legacysurvey-*-image-*.fits*"))
        if not self.bases and not self.flat:
            raise InputError(
                f"{root}: holds no coadd/ and no legacysurvey-BRICK-image-*.fits", "give --root .../dr10/south"
            )

    def refuse_nothing(self) -> None:
        """What a folder holds was seen when it was opened."""

    async def folder(self, brick: str) -> str | None:
        """Where a brick's files are, relative to the root; None where there are none."""
        if self.flat:
            return "." if any(self.root.glob(f"legacysurvey-{brick}-image-*.fits*")) else None
        for base in self.bases:
            if (self.root / base / brick[:3] / brick).is_dir():
                return f"{base}/{brick[:3]}/{brick}"
        return None

    async def plane(self, folder: str, brick: str, name: str) -> FitsFile | None:
        """One plane of a brick; None where there is no such file."""
        for file in file_names(brick, name):
            if (self.root / folder / file).is_file():
                return FitsFile(self.root / folder / file)
        return None

    def origin(self) -> tuple[Input, Chain] | None:
        """The root as an input of a step, where a `provenance.json` in it, or in the folder it is in, says how."""
        for folder in (self.root.absolute(), self.root.absolute().parent):
            note = folder / "provenance.json"
            if note.is_file():
                chain = from_json(note.read_bytes(), str(note))
                return step_input("root", folder, digests.of_file(note), chain), chain
        return None

    def brick_table(self) -> pa.Table | None:
        """The survey's table of bricks, from the root or the folder it is in; None where there is none."""
        for folder in (self.root, self.root.absolute().parent):
            for name in BRICK_TABLES:
                if (folder / name).is_file():
                    return read_bricks(str(folder / name))
        return None


class FitsFile:
    """One image on disk, read by fitsio: of a tile-compressed one only the tiles asked for are decompressed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hdus: Any = None
        self._handle: int | None = None
        self._tiles: RiceTiles | None = None
        self._tried = path.name.endswith(".gz")
        if path.name.endswith(".gz"):
            import gzip

            with gzip.open(path, "rb") as file:
                self.image = find_image(file)  # type: ignore[arg-type]
        else:
            with path.open("rb") as file:
                self.image = find_image(file)
            refuse_short(self.image, path.stat().st_size)
        refuse_other_than_a_plane(self.image)

    async def fetch(self, tiles: Mask | None) -> None:
        """Everything is at hand."""

    def fill(self, rows: slice, columns: slice, target: Pixels) -> None:
        """Copy the pixels of a box that lies within the image to an array of its shape."""
        if not self._tried:
            self._tiles, self._tried = RiceTiles.of(self.image, self._bytes), True
        if self._tiles is not None:
            self._tiles.fill(rows, columns, target)
        else:
            target[...] = self._hdu()[rows, columns]

    def close(self) -> None:
        """Let go of the file."""
        if self._hdus is not None:
            self._hdus.close()
            self._hdus = None
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _bytes(self, start: int, stop: int) -> bytes:
        if self._handle is None:
            self._handle = os.open(self.path, os.O_RDONLY)
        return os.pread(self._handle, stop - start, start)

    def _hdu(self) -> Any:
        import fitsio

        if self._hdus is None:
            self._hdus = fitsio.FITS(str(self.path))
        return self._hdus[self.image.extension]


def refuse_short(image: Image, there: int) -> None:
    """Raise ValueError where a file of so many bytes cannot hold the whole image."""
    needed = image.data_start + image.data_bytes
    if there < needed:
        raise ValueError(f"cut short: {there} bytes of {needed}")


def refuse_other_than_a_plane(image: Image) -> None:
    """Raise ValueError where an image has not two axes."""
    if len(image.shape) != 2:
        raise ValueError(f"an image of shape {image.shape}, not of a plane")


def release_of(header: Header) -> str | None:
    """Data release of a coadd, as `DR10`."""
    for key in ("LSDR", "DECALSDR"):
        found = re.fullmatch(r"DR\d+", str(header.get(key, "")).strip())
        if found:
            return found[0]
    version = header.get("DRVERSIO")
    return f"DR{version // 1000}" if isinstance(version, int) and version >= 1000 else None


def layer_of(header: Header) -> str | None:
    """The viewer's layer that shows a coadd; DR8 and DR9 have one for the north and one for the south."""
    release = release_of(header)
    if release is None:
        return None
    half = ""
    if release in ("DR8", "DR9"):
        half = "-north" if re.search("BASS|MzLS", str(header.get("SURVEYID", ""))) else "-south"
    return f"ls-{release.lower()}{half}"


def release_of_layer(layer: str) -> str | None:
    """Data release that a layer shows, as `DR10`; None for a layer that is named otherwise."""
    found = re.search(r"(?:^|-)dr(\d+)(?:-|$)", layer)
    return f"DR{found[1]}" if found else None


def bricks_of(table: pa.Table, root: Root) -> list[str | None]:
    """The brick of each row: its `brickname`, else what `galaxy_id` begins with, else where `ra`, `dec` lie.

    None where the survey's table of bricks has no brick for a position.

    Raises InputError where a row's brick cannot be told.
    """
    names: list[str | None] = [None] * table.num_rows
    if "brickname" in table.column_names:
        names = table["brickname"].to_pylist()
    ids = table["galaxy_id"].to_pylist()
    names = [name or _brick_in(id) for name, id in zip(names, ids, strict=True)]
    unknown = [row for row, name in enumerate(names) if name is None]
    if unknown:
        known = root.brick_table()
        if known is None:
            raise InputError(
                f"row {unknown[0]} ({ids[unknown[0]]}): its brick is not known ({len(unknown)} such rows)",
                "add column brickname, or put survey-bricks.fits.gz in --root",
            )
        rows = np.array(unknown)
        ra, dec = (np.asarray(table[name].to_numpy(), float)[rows] for name in ("ra", "dec"))
        for row, name in zip(unknown, bricks_at(known, ra, dec), strict=True):
            names[row] = name
    return names


def _brick_in(galaxy_id: str) -> str | None:
    name = galaxy_id.rpartition("_")[0]
    return name if BRICK.fullmatch(name) else None


def read_bricks(path: str) -> pa.Table:
    """A table of bricks, such as survey-bricks-dr10-south.fits.gz: names and corners in degrees."""
    from lensctl.io.fits.tables import read_fits_table

    table = read_fits_table(path, BRICK_CORNERS)
    schema.require(table, *BRICK_CORNERS, where=path)
    return table


def bricks_at(bricks: pa.Table, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> list[str | None]:
    """The brick that holds each position (degrees), from a table with brickname, ra1, ra2, dec1, dec2."""
    ra1, ra2, dec1, dec2 = (np.asarray(bricks[n].to_numpy(), float) for n in ("ra1", "ra2", "dec1", "dec2"))
    order = np.lexsort((ra1, dec1))
    names = np.asarray(bricks["brickname"].to_pylist(), object)[order]
    ra1, ra2, dec1, dec2 = ra1[order], ra2[order], dec1[order], dec2[order]
    starts = np.unique(dec1)
    band = np.searchsorted(starts, dec, "right") - 1
    found: NDArray[np.object_] = np.full(len(ra), None, object)
    for index in np.unique(band[band >= 0]):
        first, last = np.searchsorted(dec1, starts[index], "left"), np.searchsorted(dec1, starts[index], "right")
        here = np.flatnonzero(band == index)
        at = first + np.searchsorted(ra1[first:last], ra[here] % 360.0, "right") - 1
        held = (at >= first) & (ra[here] % 360.0 < ra2[at]) & (dec[here] < dec2[at])
        found[here[held]] = names[at[held]]
    return list(found)
