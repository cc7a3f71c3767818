"""Cutouts that are not kept: cut block by block from brick coadds by processes of their own, and handed over to score.

Of a cutout only the part is read that decides whether it is usable, or that a network sees. What is cut, and what its
status is, is as `lensctl cutout` has it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io import workers
from lensctl.io.imaging.coadds import Coadds, CoaddSource
from lensctl.rules import quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_BYTES = 16 << 20
ROWS_MULTIPLE = 64
"""Blocks are of a multiple of the rows that go through a network together."""

AHEAD = 2
"""Blocks that wait to be scored."""

NAN_IN_CROP = "nan_in_crop"
"""Status of a usable cutout with a pixel in the network's input that is NaN or infinite: it has no score."""


@dataclass(frozen=True)
class Window:
    """The part of a whole cutout that is read.

    Parameters
    ----------
    size : int
        Side of the whole cutout, pixels.
    crop : int
        Side of its central part that is handed over, pixels.
    """

    size: int
    crop: int

    @functools.cached_property
    def side(self) -> int:
        """Side of what is read: the smallest with the same centre that holds crop, inner square and central fifth."""
        middle = self.size // 2
        parts = (self._crop, *_squares(self.size))
        below = max(middle - part.start for part in parts)
        above = max(part.stop - middle for part in parts)
        return min(self.size, next(side for side in range(1, 2 * self.size + 2) if _holds(side, below, above)))

    @property
    def rows_at_once(self) -> int:
        """Rows of a block for three bands; the same on every machine, as scores of a block are computed together."""
        return max(ROWS_MULTIPLE, BLOCK_BYTES // (self.side**2 * 12) // ROWS_MULTIPLE * ROWS_MULTIPLE)

    @property
    def _crop(self) -> slice:
        start = (self.size - self.crop) // 2
        return slice(start, start + self.crop)

    def within(self, part: slice) -> slice:
        """Where a part of the whole cutout lies in what is read."""
        shift = self.size // 2 - self.side // 2
        return slice(part.start - shift, part.stop - shift)

    def status(self, images: NDArray[np.float32], max_empty: float) -> NDArray[np.object_]:
        """Status of cutouts as read; see `quality.status_within`."""
        inner, central = map(self.within, _squares(self.size))
        return quality.status_within(images, inner, central, max_empty)

    def cropped(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The crop of cutouts as read, or of whole ones."""
        crop = self._crop if images.shape[1] == self.size else self.within(self._crop)
        return images[:, crop, crop]


def _squares(size: int) -> tuple[slice, slice]:
    """What decides whether a cutout is usable: its inner square and its central fifth, along either side."""
    return quality.inner(size), quality.central(size)


def _holds(side: int, below: int, above: int) -> bool:
    return side // 2 >= below and side - side // 2 >= above


@dataclass(frozen=True)
class CutTask:
    """Objects to cut together: their bricks (see `Coadds.cut`) and positions in degrees, (N,) each."""

    number: int
    bricks: tuple[str | None, ...]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]


@dataclass(frozen=True)
class CutBlock:
    """The cutouts of a task.

    Attributes
    ----------
    number : int
        That of the task.
    images : (M, crop, crop, B) float32
        Nanomaggies, finite; of the M rows whose status is ok, in their order.
    status, error : N values
        Status of each row, and what is known beyond it.
    layers, pixel_scales_arcsec : tuple
        Distinct layers and pixel scales of the bricks, as far as they say.
    """

    number: int
    images: NDArray[np.float32]
    status: NDArray[np.object_]
    error: tuple[str | None, ...]
    layers: tuple[str, ...]
    pixel_scales_arcsec: tuple[float, ...]

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which rows have an image: (N,) bool."""
        return np.asarray(self.status == quality.OK, bool)


def cut_blocks(
    source: CoaddSource, crop: int, tasks: Iterable[CutTask], processes: int | None = None
) -> Iterator[CutBlock]:
    """Blocks of cutouts in the order in which they are done, a process per core if `processes` is not given.

    Parameters
    ----------
    source : CoaddSource
        Its `size` is that of whole cutouts, whose status is meant.
    crop : int
        Central pixels of each side that are handed over.
    """
    _cutter.cache_clear()  # files may have changed since
    is_alone = (processes or workers.cores()) == 1
    yield from workers.each(functools.partial(cut_block, source, Window(source.size, crop), is_alone), tasks, processes)


def cut_block(source: CoaddSource, window: Window, is_alone: bool, task: CutTask) -> CutBlock:
    """The cutouts of one task. A process that is alone has the next one too, which may begin in the last brick."""
    cuts = _cutter(dataclasses.replace(source, size=window.side)).cut(task.bricks, task.ra, task.dec, keep=is_alone)
    recorded = np.array([*cuts.columns["status"], None], object)[:-1]
    status = np.where(recorded.astype(bool), recorded, window.status(cuts.images, source.max_empty))
    error = list(cuts.columns["error"])
    images = window.cropped(cuts.images)
    layers, scales = (set(cuts.columns[name]) - {None} for name in ("layer", "pixel_scale_arcsec"))
    has_brick = np.array([brick is not None for brick in task.bricks], bool)
    if window.side < source.size:
        beyond = np.flatnonzero(np.isin(status.astype(str), ("missing_band", "outside_footprint")) & has_brick)
        if len(beyond):  # what is not read decides
            bricks = [task.bricks[row] for row in beyond]
            whole = _cutter(source).cut(bricks, task.ra[beyond], task.dec[beyond], keep=is_alone)
            measured = quality.status_within(whole.images, *_squares(source.size), source.max_empty)
            status[beyond] = [known or found for known, found in zip(whole.columns["status"], measured, strict=True)]
            images = images.copy()
            images[beyond] = window.cropped(whole.images)
            for row, text in zip(beyond, whole.columns["error"], strict=True):
                error[row] = text
    ok = np.flatnonzero(status == quality.OK)
    finite = np.isfinite(images[ok]).all(axis=(1, 2, 3))
    status[ok[~finite]] = NAN_IN_CROP
    good = np.ascontiguousarray(images[ok[finite]])
    return CutBlock(task.number, good, status, tuple(error), tuple(sorted(layers)), tuple(sorted(scales)))


def scored_blocks(
    cuts: Iterable[CutBlock], score: Callable[[NDArray[np.float32]], NDArray[np.float64]], members: int
) -> Iterator[tuple[CutBlock, NDArray[np.float64]]]:
    """Blocks with the logits of their rows, one block scored in a thread while the next ones are cut.

    Parameters
    ----------
    score : callable
        (M, crop, crop, B) cutouts to (M, K) logits.
    members : int
        K.

    Yields
    ------
    CutBlock, (N, K) float64
        In the order of the blocks; NaN for rows without an image.
    """

    def logits_of(cut: CutBlock) -> NDArray[np.float64]:
        logits = np.full((len(cut.status), members), np.nan)
        if len(cut.images):
            logits[cut.ok] = score(cut.images)
        return logits

    waiting: deque[tuple[CutBlock, Future[NDArray[np.float64]]]] = deque()
    with ThreadPoolExecutor(1) as scoring:
        for cut in cuts:
            waiting.append((cut, scoring.submit(logits_of, cut)))
            while len(waiting) > AHEAD:
                first, logits = waiting.popleft()
                yield first, logits.result()
        for last, logits in waiting:
            yield last, logits.result()


@functools.lru_cache(maxsize=2)
def _cutter(source: CoaddSource) -> Coadds:
    return Coadds(source.open(), size=source.size, survey=source.survey, layer=source.layer, reuse=True)


@dataclass(frozen=True)
class Reading:
    """What cutting some tasks takes: bricks, and bytes of their coadds that are read."""

    bricks: int
    bytes: int


def reading_of(source: CoaddSource, crop: int, tasks: Sequence[CutTask]) -> Reading:
    """Bytes of tile-compressed coadds that some tasks read: of each image the share of its tiles that cutouts touch."""
    cutter = Coadds(source.open(), size=Window(source.size, crop).side, survey=source.survey, layer=source.layer)
    bricks = [brick for task in tasks for brick in task.bricks]
    ra, dec = (np.concatenate([getattr(task, axis) for task in tasks]) for axis in ("ra", "dec"))
    return Reading(len(set(bricks) - {None}), cutter.bytes_read(bricks, ra, dec))
