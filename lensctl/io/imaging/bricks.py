"""Brick coadds: the survey's folder layout, and which brick contains a position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lensctl.io.fits.header import Header, Image
from lensctl.io.fits.tiles import Mask
from lensctl.io.provenance.steps import Chain, Input
from lensctl.rules import schema
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

BRICK = re.compile(r"[0-9]{4}[pm][0-9]{3}")
REGIONS = ("north", "south")
"""Parts of a survey whose bricks have the same names where they overlap."""
ENDINGS = (".fits.fz", ".fits", ".fits.gz")
BRICK_TABLES = ("survey-bricks.fits.gz", "survey-bricks.fits")
BRICK_CORNERS = ("brickname", "ra1", "ra2", "dec1", "dec2")
BRICK_COLUMN = "brick of the cutout"
"""Column added to the object table."""

Pixels = NDArray[Any]


class Plane(Protocol):
    """One image of one brick: one band, or a plane that all bands share."""

    image: Image

    async def fetch(self, tiles: Mask | None) -> None:
        """Make some of the image's tiles (see `tiles.tile_shape`) available, or all."""

    def fill(self, rows: slice, columns: slice, target: Pixels) -> None:
        """Copy the pixels of a box within the image, on available tiles, to an array of the box's shape."""

    def close(self) -> None:
        """Close the file."""


class HasBrickTable(Protocol):
    """What knows which bricks there are."""

    def brick_table(self) -> pa.Table | None:
        """The survey's table of bricks; None if there is none."""


class Root(Protocol):
    """A place with brick coadds.

    Attributes
    ----------
    name : str
        Base name of its path.
    at_once : int
        Number of bricks to process concurrently.
    """

    name: str
    at_once: int

    def refuse_empty(self) -> None:
        """Raise InputError if there are no coadds, ServiceError if there is no response."""

    async def folder(self, brick: str, region: str = "") -> str | None:
        """Folder of a brick's files, relative to the root; None if there are none, or only those of another region."""

    async def plane(self, folder: str, brick: str, name: str) -> Plane | None:
        """One plane of a brick, such as `image-g` or `maskbits`; None if there is no such file.

        Raises OSError or ValueError if it is damaged, Unanswered if the server fails.
        """

    def origin(self) -> tuple[Input, Chain] | None:
        """The root as an input of a step, from a `provenance.json` in it or its parent folder; None without one."""

    def brick_table(self) -> pa.Table | None:
        """The survey's table of bricks, from the root or its parent folder; None if there is none."""


def file_names(brick: str, name: str, prefix: str) -> list[str]:
    """Possible file names of a brick's plane."""
    return [f"{prefix}-{brick}-{name}{ending}" for ending in ENDINGS]


def of_region(brick: str | None, region: str) -> str | None:
    """The name by which cutouts are asked of one region's brick, such as north/1500p020; REGIONS alone make a name."""
    return f"{region}/{brick}" if brick and region in REGIONS else brick


def bases_of(folders: Sequence[str], region: str, root_name: str) -> list[str]:
    """Folders below a root that may hold the bricks of a region, or of any where it is empty.

    Never those of another region: its bricks have the same names, and other pixels.
    """
    if not region:
        return list(folders)
    own = [f"{region}/{folder}" for folder in folders if "/" not in folder]
    others = set(REGIONS) - {region}
    rest = [folder for folder in folders if folder.split("/")[0] not in others and root_name not in others]
    return list(dict.fromkeys([*own, *rest]))


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
    """Data release that a layer shows, as `DR10`; None if its name has no release."""
    found = re.search(r"(?:^|-)dr(\d+)(?:-|$)", layer)
    return f"DR{found[1]}" if found else None


def releases_of(layers: Sequence[str]) -> tuple[str, ...]:
    """Data releases that some layers show, sorted; empty if no name has one."""
    return tuple(sorted({release for layer in layers if (release := release_of_layer(layer))}))


def refuse_other_release(rows: pa.Table, releases: Sequence[str], where: str) -> None:
    """Raise InputError if rows are of a release that is not named: 10000 of a sweep is DR10, 9010 DR9.

    With no release named, or none in the rows, nothing is known, and nothing refused.
    """
    import pyarrow.compute as pc

    if not releases or "release" not in rows.column_names:
        return
    for text in filter(None, pc.unique(rows["release"]).to_pylist()):
        release = f"DR{int(text) // 1000}" if str(text).isdecimal() else str(text)
        if re.fullmatch(r"DR\d+", release) and release not in releases:
            raise InputError(
                f"{where}: rows of {release}, the model was trained on {', '.join(releases)}",
                "take the release that it was trained on",
            )


def bricks_of(table: pa.Table, root: HasBrickTable) -> list[str | None]:
    """The brick of each row: from `brickname`, else the prefix of `galaxy_id`, else `ra` and `dec`; and its region.

    None if the survey's table of bricks has no brick at a position. Rows whose `region` is of REGIONS get a brick of
    that region (see `of_region`).

    Raises InputError if a row's brick cannot be determined.
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
    if "region" in table.column_names:
        regions = map(str, table["region"].to_pylist())
        names = [of_region(name, region) for name, region in zip(names, regions, strict=True)]
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
    """The brick that contains each position (degrees), from a table with brickname, ra1, ra2, dec1, dec2."""
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
