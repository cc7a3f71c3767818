"""Cutouts from brick coadds: raw pixels, no resampling, each brick's files opened once for all its objects."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lensctl.doors import workers
from lensctl.doors.bricks import BRICK, Disk, Plane, Root, bricks_of, layer_of, release_of, release_of_layer
from lensctl.doors.cutting import Cuts, Task, complete
from lensctl.doors.store_writer import ShardWriter
from lensctl.words.tan import Tan, nearest_pixel

if TYPE_CHECKING:
    import pyarrow as pa

TILES_FOR_WHOLE = 1.0  # read a plane whole when its cutouts need as many tiles as it has: both cost alike there

BRICK_COLUMN = "brick of the cutout"

Images = NDArray[np.float32]


@dataclass(frozen=True)
class CoaddSource:
    """Brick coadds on disk as a source of cutouts, one shard a task, a process per core.

    Parameters
    ----------
    root : str
        Folder that holds `coadd/` or `south/coadd/`, or the brick files themselves.
    size, bands
        As for `Coadds`.
    layer : str, optional
        Flag bricks of another release than this layer's.
    processes : int, optional
        One per core if not given. The result does not depend on it.
    """

    root: str
    size: int = 101
    bands: str = "grz"
    layer: str | None = None
    processes: int | None = None
    name: str = "coadd"

    def prepare(self, table: pa.Table) -> pa.Table:
        """The table with the brick of each row.

        Raises InputError where the root holds no coadds, or a row's brick cannot be told.
        """
        import pyarrow as pa

        return table.append_column(BRICK_COLUMN, pa.array(bricks_of(table, Disk(self.root)), pa.string()))

    def make(self, tasks: Iterator[Task], writer: ShardWriter, advance: Callable[[int], None]) -> None:
        """Write the shard of every task, and say how many rows are done as they are."""
        _cutter.cache_clear()  # of files that may have changed since
        for done in workers.each(functools.partial(_make_shard, self, writer), tasks, self.processes):
            advance(done)


def _make_shard(source: CoaddSource, writer: ShardWriter, task: Task) -> int:
    cutter = _cutter(source)
    ra, dec = (np.asarray(task.rows[name].to_numpy(), np.float64) for name in ("ra", "dec"))
    cuts = cutter.cut(task.rows[BRICK_COLUMN].to_pylist(), ra, dec)
    complete(task, cuts, source.name, writer)
    start, stop = writer.layout.span(task.shard)
    return stop - start


@functools.lru_cache(maxsize=1)
def _cutter(source: CoaddSource) -> Coadds:
    return Coadds(Disk(source.root), size=source.size, bands=source.bands, layer=source.layer)


class Coadds:
    """Cuts cutouts from the bricks below a root.

    Parameters
    ----------
    root : Root
    size : int
        Side of a cutout in pixels; odd, so that there is a centre.
    bands : str
        One letter per plane.
    layer : str, optional
        Flag bricks of another release than this layer's; None takes every one.
    """

    COLUMNS = (
        "status",
        "release",
        "layer",
        "pixel_scale_arcsec",
        "url_or_brick",
        "offset_x_px",
        "offset_y_px",
        "error",
    )

    def __init__(self, root: Root, *, size: int = 101, bands: str = "grz", layer: str | None = None) -> None:
        self.root, self.size, self.bands, self.layer = root, size, bands, layer
        self._brick: _Brick | None = None

    def cut(self, bricks: Sequence[str | None], ra: NDArray[np.float64], dec: NDArray[np.float64]) -> Cuts:
        """Cutouts of some objects.

        Parameters
        ----------
        bricks : N names
            The brick that owns each object; None where no brick does.
        ra, dec : (N,) float64, degrees

        Returns
        -------
        Cuts
            In the order of the objects, with the columns of `COLUMNS`; pixels as the coadd has them. What cannot be
            cut is NaN, with a status and the reason.
        """
        count = len(bricks)
        images = np.full((count, self.size, self.size, len(self.bands)), np.nan, np.float32)
        columns: dict[str, list[Any]] = {name: [None] * count for name in self.COLUMNS}
        of_brick: dict[str | None, list[int]] = {}
        for row, brick in enumerate(bricks):
            of_brick.setdefault(brick, []).append(row)
        for brick, rows in of_brick.items():
            if brick is None:
                _say(columns, rows, status="outside_footprint", error="in no brick of the survey")
            else:
                self._cut_brick(brick, np.array(rows), ra, dec, images, columns)
        return Cuts(images, columns)

    def close(self) -> None:
        """Let go of open files."""
        if self._brick is not None:
            self._brick.close()
            self._brick = None

    def _cut_brick(
        self,
        name: str,
        rows: NDArray[np.int64],
        ra: NDArray[np.float64],
        dec: NDArray[np.float64],
        images: Images,
        columns: dict[str, list[Any]],
    ) -> None:
        folder = self.root.folder(name) if BRICK.fullmatch(name) else None
        if folder is None:
            _say(columns, rows, status="missing_brick", error=f"no coadd of brick {name}")
            return
        place = name if folder == "." else folder
        if self._brick is None or self._brick.name != name:
            self.close()
            try:
                self._brick = _Brick(self.root, name, self.bands)
            except (OSError, ValueError) as error:
                _say(columns, rows, status="bad_file", url_or_brick=place, error=f"brick {name}: {_reason(error)}")
                return
        brick = self._brick
        known = {"url_or_brick": place, "release": brick.release, "layer": brick.layer}
        _say(columns, rows, **known, pixel_scale_arcsec=brick.tan.pixel_scale_arcsec)
        if self.layer and release_of_layer(self.layer) not in (None, brick.release):
            _say(columns, rows, status="wrong_release", error=f"brick {name} is {brick.release}, not of {self.layer}")
            return
        x, y = brick.tan.to_pixel(ra[rows], dec[rows])
        height, width = brick.shape
        near = (np.abs(x - width / 2) < width / 2 + self.size) & (np.abs(y - height / 2) < height / 2 + self.size)
        column, line = nearest_pixel(np.where(near, x, 0)), nearest_pixel(np.where(near, y, 0))
        left, low = column - self.size // 2, line - self.size // 2
        near &= (left < width) & (left + self.size > 0) & (low < height) & (low + self.size > 0)
        _say(columns, rows[~near], status="outside_footprint", error=f"beyond the coadd of brick {name}")
        for i in np.flatnonzero(near):
            columns["offset_x_px"][rows[i]] = float(x[i] - column[i])
            columns["offset_y_px"][rows[i]] = float(y[i] - line[i])
        boxes = [_Box(int(low[i]), int(left[i]), self.size, brick.shape) for i in np.flatnonzero(near)]
        inside = rows[near]
        lacking = [band for band in self.bands if band not in brick.planes]
        if lacking:
            _say(columns, inside, error=f"no {', '.join(lacking)} image of brick {name}")
        for b, band in enumerate(self.bands):
            if band in brick.planes:
                try:
                    brick.fill(band, boxes, images[..., b], inside)
                except (OSError, ValueError) as error:
                    images[inside] = np.nan
                    _say(columns, inside, status="bad_file", error=f"brick {name}, {band}: {_reason(error)}")
                    return


@dataclass(frozen=True)
class _Box:
    """The part of a cutout that lies on the image: in image pixels and in its own."""

    rows: slice
    columns: slice
    own_rows: slice
    own_columns: slice

    def __init__(self, low: int, left: int, size: int, shape: tuple[int, ...]) -> None:
        for start, length, name in ((low, shape[0], "rows"), (left, shape[1], "columns")):
            first, last = max(start, 0), min(start + size, length)
            object.__setattr__(self, name, slice(first, last))
            object.__setattr__(self, f"own_{name}", slice(first - start, last - start))

    def tiles(self, tile: tuple[int, ...]) -> int:
        """Number of tiles it touches."""
        down = (self.rows.stop - 1) // tile[0] - self.rows.start // tile[0] + 1
        across = (self.columns.stop - 1) // tile[1] - self.columns.start // tile[1] + 1
        return int(down * across)


class _Brick:
    """The open planes of one brick, and those read whole."""

    def __init__(self, root: Root, name: str, bands: str) -> None:
        self.name = name
        found = {band: root.plane(name, band) for band in bands}
        self.planes: dict[str, Plane] = {band: plane for band, plane in found.items() if plane is not None}
        self.kept: dict[str, Images] = {}
        if not self.planes:
            raise ValueError(f"no image in any of {', '.join(bands)}")
        first = next(iter(self.planes.values())).image
        self.tan, self.shape = Tan.of(first.header), first.shape
        self.release, self.layer = release_of(first.header), layer_of(first.header)
        for band, plane in self.planes.items():
            if plane.image.shape != self.shape or Tan.of(plane.image.header) != self.tan:
                raise ValueError(f"{band} has another grid of pixels than {next(iter(self.planes))}")

    def fill(self, band: str, boxes: Sequence[_Box], target: Images, rows: NDArray[np.int64]) -> None:
        """Copy boxes of one band into (N, S, S) cutouts."""
        plane = self.planes[band]
        tile = plane.image.tile
        all_tiles = -(-self.shape[0] // tile[0]) * -(-self.shape[1] // tile[1])
        if band not in self.kept and sum(box.tiles(tile) for box in boxes) >= TILES_FOR_WHOLE * all_tiles:
            self.kept[band] = plane.whole()
        whole = self.kept.get(band)
        for row, box in zip(rows, boxes, strict=True):
            pixels = plane.region(box.rows, box.columns) if whole is None else whole[box.rows, box.columns]
            target[row, box.own_rows, box.own_columns] = pixels

    def close(self) -> None:
        for plane in self.planes.values():
            plane.close()
        self.kept.clear()


def _say(columns: dict[str, list[Any]], rows: Sequence[int] | NDArray[np.int64], **values: Any) -> None:
    for name, value in values.items():
        column = columns[name]
        for row in rows:
            column[row] = value


def _reason(error: BaseException) -> str:
    """First line of an error, without the folder a file is in."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\S*/(?=legacysurvey-)", "", text)[:200]
