"""Cutouts from brick coadds: raw pixels, no resampling, each brick's files opened once for all its objects."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lensctl.astro.wcs import nearest_pixel
from lensctl.io import event_loop, workers
from lensctl.io.cutouts.layout import EXTRAS
from lensctl.io.cutouts.writer import ShardWriter
from lensctl.io.imaging.brick_reader import Box, Memory, OpenBrick, Pixels, planes_of, reason_of
from lensctl.io.imaging.bricks import BRICK, BRICK_COLUMN, Root, bricks_of, release_of_layer
from lensctl.io.imaging.roots import open_root
from lensctl.io.imaging.source import CUT_COLUMNS, Advance, Cuts, Task, Unanswered, complete
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa

SCALE_TOLERANCE = 0.01


@dataclass(frozen=True)
class CoaddSource:
    """Brick coadds as a source of cutouts, one shard a task, a process per core.

    Parameters
    ----------
    root : str
        Folder, `s3://` or `http://` location that holds `coadd/`, `south/coadd/`, or the brick files themselves.
    size, survey
        See `Coadds`.
    layer : str, optional
        Flag bricks of a release other than this layer's.
    processes : int, optional
        One per core if not given. The result does not depend on it.
    planes : tuple of names
        Additional arrays, from `layout.EXTRAS`.
    connections, timeout, tries
        For a remote root: concurrent requests, seconds per response, maximum requests per object.
    max_empty : float
        See `quality.measure`.
    """

    root: str
    size: int = LS_DR10.cutout_size_px
    survey: Survey = LS_DR10
    layer: str | None = None
    processes: int | None = None
    planes: tuple[str, ...] = ()
    connections: int = 8
    timeout: float = 60.0
    tries: int = 6
    max_empty: float = MAX_EMPTY
    name: str = "coadd"

    def open(self) -> Root:
        """Open the root, once per process."""
        at_once = -(-self.connections // (self.processes or workers.cores()))
        return open_root(self.root, self.survey, at_once=at_once, timeout=self.timeout, tries=self.tries)

    def prepare(self, table: pa.Table) -> pa.Table:
        """The table with the brick of each row.

        Raises InputError if the root holds no coadds, or a row's brick cannot be determined.
        """
        import pyarrow as pa

        root = self.open()
        root.refuse_empty()
        return table.append_column(BRICK_COLUMN, pa.array(bricks_of(table, root), pa.string()))

    def order(self, shards: list[int]) -> list[int]:
        """Shards ordered so that each process gets consecutive ones, which share bricks."""
        length = -(-len(shards) // (self.processes or workers.cores()))
        runs = [shards[i : i + length] for i in range(0, len(shards), max(length, 1))]
        return [shard for turn in itertools.zip_longest(*runs) for shard in turn if shard is not None]

    def make(self, tasks: Iterator[Task], writer: ShardWriter, advance: Advance) -> None:
        """Write the shard of every task, and report row statuses as they are done."""
        _cutter.cache_clear()  # files may have changed since
        for done in workers.each(functools.partial(_make_shard, self, writer), tasks, self.processes):
            advance(done)


def _make_shard(source: CoaddSource, writer: ShardWriter, task: Task) -> Counter[str]:
    cutter = _cutter(source)
    ra, dec = (np.asarray(task.rows[name].to_numpy(), np.float64) for name in ("ra", "dec"))
    cuts = cutter.cut(task.rows[BRICK_COLUMN].to_pylist(), ra, dec)
    return complete(task, cuts, source, writer)


@functools.lru_cache(maxsize=1)
def _cutter(source: CoaddSource) -> Coadds:
    return Coadds(
        source.open(), size=source.size, survey=source.survey, layer=source.layer, planes=source.planes, reuse=True
    )


class Coadds:
    """Cuts cutouts from the bricks below a root.

    Parameters
    ----------
    root : Root
    size : int
        Side of a cutout in pixels.
    survey : Survey
        Its bands are cut, from coadds of its pixel scale.
    layer : str, optional
        Flag bricks of a release other than this layer's; None accepts any.
    planes : tuple of names
        Additional arrays to cut, from `layout.EXTRAS`.
    reuse : bool
        Reuse the arrays of the previous cut: allocating memory costs more than filling it.
    """

    def __init__(
        self,
        root: Root,
        *,
        size: int = LS_DR10.cutout_size_px,
        survey: Survey = LS_DR10,
        layer: str | None = None,
        planes: Sequence[str] = (),
        reuse: bool = False,
    ) -> None:
        self.root, self.size, self.survey, self.layer, self.planes = root, size, survey, layer, planes
        self.bands = survey.bands
        self._memory, self._keeps, self._reuse = Memory(), False, reuse
        self._last: dict[str, Pixels] = {}
        self._brick: OpenBrick | None = None

    def cut(
        self, bricks: Sequence[str | None], ra: NDArray[np.float64], dec: NDArray[np.float64], *, keep: bool = True
    ) -> Cuts:
        """Cutouts of some objects.

        Parameters
        ----------
        bricks : N names
            The brick that owns each object, with its region where that must be told (`bricks.of_region`); None if none
            does.
        ra, dec : (N,) float64, degrees
        keep : bool
            Keep the pixels of the last brick, 52 MB a band, for the next cut; else one band at a time is held.

        Returns
        -------
        Cuts
            In the order of the objects, with the columns of `CUT_COLUMNS`; pixels are not resampled. Cutouts that
            cannot be made are NaN, with a status and the reason. A missing or damaged additional plane does not fail
            a cutout: it holds its fill value, and is named in `error`.
        """
        count, self._keeps = len(bricks), keep and self.root.at_once == 1
        images = self._filled("", (count, self.size, self.size, len(self.bands)), "float32", np.nan)
        extras = {name: self._extra(name, count) for name in self.planes}
        cuts = Cuts(images, {name: [None] * count for name in CUT_COLUMNS}, extras)
        of_brick: dict[str | None, list[int]] = {}
        for row, brick in enumerate(bricks):
            of_brick.setdefault(brick, []).append(row)
        outside = of_brick.pop(None, [])
        _set(cuts, outside, status="outside_footprint", error="not in any brick of the survey")
        event_loop.run(self._cut_all({name: np.array(rows) for name, rows in of_brick.items() if name}, ra, dec, cuts))
        return cuts

    def bytes_read(self, bricks: Sequence[str | None], ra: NDArray[np.float64], dec: NDArray[np.float64]) -> int:
        """Bytes of images that cutting some objects would read: of each image the share of its tiles they touch."""
        names = np.array([name or "" for name in bricks])

        async def count() -> int:
            return sum([await self._bytes(str(name), ra[names == name], dec[names == name]) for name in set(names)])

        return event_loop.run(count())

    async def _bytes(self, key: str, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> int:
        region, _, name = key.rpartition("/")
        folder = await self.root.folder(name, region) if BRICK.fullmatch(name) else None
        brick = None
        with contextlib.suppress(OSError, ValueError, Unanswered):
            brick = await self._take(name, folder) if folder is not None else None
        if brick is None:
            return 0
        _, boxes, _ = self._boxes(brick, ra, dec)
        touched = brick.bytes_of(boxes)
        self._keep(brick)
        return touched

    def close(self) -> None:
        """Close open files."""
        self._keep(None)

    def _extra(self, name: str, count: int) -> Pixels:
        extra = EXTRAS[name]
        shape = (count, self.size, self.size, *([len(self.bands)] if extra.per_band else []))
        return self._filled(name, shape, extra.data_type, extra.fill)

    def _filled(self, name: str, shape: tuple[int, ...], dtype: str, fill: float) -> Pixels:
        """An array filled with a value, reusing that of the previous cut if allowed."""
        if not self._reuse or name not in self._last or len(self._last[name]) < shape[0]:
            self._last[name] = np.empty(shape, dtype)
        filled = self._last[name][: shape[0]]
        filled[...] = fill
        return filled

    async def _cut_all(
        self,
        of_brick: dict[str, NDArray[np.int64]],
        ra: NDArray[np.float64],
        dec: NDArray[np.float64],
        cuts: Cuts,
    ) -> None:
        """Cut the rows of each brick, `root.at_once` bricks concurrently."""
        waiting = iter(of_brick.items())

        async def work() -> None:
            for name, rows in waiting:
                await self._cut_brick(name, rows, ra[rows], dec[rows], cuts)

        await asyncio.gather(*(work() for _ in range(self.root.at_once)))

    async def _cut_brick(
        self, key: str, rows: NDArray[np.int64], ra: NDArray[np.float64], dec: NDArray[np.float64], cuts: Cuts
    ) -> None:
        region, _, name = key.rpartition("/")
        try:
            folder = await self.root.folder(name, region) if BRICK.fullmatch(name) else None
            if folder is None:
                _set(cuts, rows, status="missing_brick", error=f"no coadd of brick {name}")
                return
            _set(cuts, rows, url_or_brick=name if folder == "." else folder)
            brick = await self._take(name, folder)
            if brick is None:
                _set(cuts, rows, status="missing_brick", error=f"no image in {', '.join(self.bands)} of brick {name}")
                return
            try:
                await self._cut_from(brick, rows, ra, dec, cuts)
            finally:
                self._keep(brick)
        except (OSError, ValueError) as error:
            self._fail(cuts, rows, status="bad_file", error=f"brick {name}, {reason_of(error)}")
        except Unanswered as error:
            why = {"status": error.status, "http_status": error.http_status}
            self._fail(cuts, rows, **why, error=f"brick {name}, {error}")

    async def _take(self, name: str, folder: str) -> OpenBrick | None:
        """An open brick, the kept one if it is the same; None if it has no image."""
        kept = self._brick
        if kept is not None and (kept.name, kept.folder) == (name, folder):
            self._brick, kept.keeps = None, self._keeps
            return kept
        brick = await OpenBrick.open(self.root, name, folder, self.bands, self.planes)
        if brick is not None:
            brick.folder, brick.memory, brick.keeps = folder, self._memory, self._keeps
        return brick

    def _keep(self, brick: OpenBrick | None) -> None:
        """Keep one brick open, since the next rows may lie in it too."""
        if self._brick is not None:
            self._brick.close()
        self._brick = brick

    def _fail(self, cuts: Cuts, rows: NDArray[np.int64], **values: Any) -> None:
        """Clear the cutouts of rows and record the reason."""
        cuts.images[rows] = np.nan
        for name in self.planes:
            cuts.planes[name][rows] = EXTRAS[name].fill
        _set(cuts, rows, **values)

    async def _cut_from(
        self, brick: OpenBrick, rows: NDArray[np.int64], ra: NDArray[np.float64], dec: NDArray[np.float64], cuts: Cuts
    ) -> None:
        self._refuse_other_scale(brick)
        known = {"release": brick.release, "layer": brick.layer}
        _set(cuts, rows, **known, pixel_scale_arcsec=brick.tan.pixel_scale_arcsec)
        if self.layer and release_of_layer(self.layer) not in (None, brick.release):
            why = f"brick {brick.name} is {brick.release}, not {self.layer}"
            _set(cuts, rows, status="wrong_release", error=why)
            return
        near, boxes, offsets = self._boxes(brick, ra, dec)
        _set(cuts, rows[~near], status="outside_footprint", error=f"outside the coadd of brick {brick.name}")
        for row, (x, y) in zip(rows[near], offsets, strict=True):
            cuts.columns["offset_x_px"][row], cuts.columns["offset_y_px"][row] = x, y
        inside = rows[near]
        problems = []
        missing = [band for band in self.bands if f"image-{band}" not in brick.planes]
        if missing:
            problems.append(f"no {', '.join(missing)} image of brick {brick.name}")
        for b, band in enumerate(self.bands):
            if band not in missing:
                await brick.fill(f"image-{band}", boxes, cuts.images[..., b], inside)
        problems += [why for name in self.planes for why in await self._cut_extra(name, brick, boxes, inside, cuts)]
        if problems:
            _set(cuts, inside, error="; ".join(problems))

    def _boxes(
        self, brick: OpenBrick, ra: NDArray[np.float64], dec: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], list[Box], list[tuple[float, float]]]:
        """Which cutouts reach onto a brick's image; of these the box, and the offset from the pixel's centre."""
        x, y = brick.tan.to_pixel(ra, dec)
        height, width = brick.shape
        near = (np.abs(x - width / 2) < width / 2 + self.size) & (np.abs(y - height / 2) < height / 2 + self.size)
        column, line = nearest_pixel(np.where(near, x, 0)), nearest_pixel(np.where(near, y, 0))
        left, low = column - self.size // 2, line - self.size // 2
        near &= (left < width) & (left + self.size > 0) & (low < height) & (low + self.size > 0)
        at = np.flatnonzero(near)
        boxes = [Box.of(int(low[i]), int(left[i]), self.size, brick.shape) for i in at]
        return near, boxes, [(float(x[i] - column[i]), float(y[i] - line[i])) for i in at]

    def _refuse_other_scale(self, brick: OpenBrick) -> None:
        found, wanted = brick.tan.pixel_scale_arcsec, self.survey.pixel_scale_arcsec
        if not abs(found / wanted - 1) <= SCALE_TOLERANCE:
            raise InputError(
                f"brick {brick.name} has pixels of {found:.4g} arcsec, survey {self.survey.name} of {wanted:g}",
                "name the survey of these coadds with --survey",
            )

    async def _cut_extra(
        self, name: str, brick: OpenBrick, boxes: Sequence[Box], rows: NDArray[np.int64], cuts: Cuts
    ) -> list[str]:
        """Cut an additional array; returns what is missing in it, and why."""
        missing = []
        for plane, target in planes_of(name, self.bands, cuts.planes[name]):
            if plane in brick.planes:
                try:
                    await brick.fill(plane, boxes, target, rows)
                except (OSError, ValueError) as error:
                    target[rows] = EXTRAS[name].fill
                    missing.append(f"brick {brick.name}, {reason_of(error)}")
            else:
                missing.append(brick.damaged.get(plane, f"no {plane} of brick {brick.name}"))
        return missing


def _set(cuts: Cuts, rows: Sequence[int] | NDArray[np.int64], **values: Any) -> None:
    for name, value in values.items():
        for row in rows:
            cuts.columns[name][row] = value
