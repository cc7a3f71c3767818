"""Batches of cutouts from device memory, host memory or the store, in an order that depends only on the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch

from lensctl.learning.randomness import numpy_generator
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.learning.data.row_selection import Rows

LOCATIONS = ("device", "host", "stream")
BLOCK_ROWS = 64
"""Rows per read when streaming from a store."""
BUFFER_ROWS = 8192
"""Shuffle buffer of a streamed order; smaller sets are shuffled fully."""
READ_ROWS = 256
MEMORY_SHARE = 0.5
"""Fraction of free memory that cutouts may use."""


Part = TypeVar("Part")
Found = TypeVar("Found")


class Pixels(Protocol):
    """Cutouts by manifest row, such as `lensctl.io.cutouts.by_manifest.Cutouts`."""

    def read(self, rows: NDArray[np.int64], crop: int | None = None, *, check: bool = True) -> NDArray[np.float32]:
        """(n,) row numbers to (n, S, S, bands) float32 nanomaggies, in the given order; the central crop if given.

        With `check`, pixels other than those recorded are an InputError.
        """


@dataclass(frozen=True)
class Batch:
    """The input of one training step.

    Parameters
    ----------
    cutouts : (B, M, M, bands) float on the device, in nanomaggies
    target, weight : (B,) float32 on the device
    which : (B,) int64
        Indices into the feed's rows.
    finite : bool tensor on the device
        Whether all pixels are finite, checked again although the store was checked at the first read.
    """

    cutouts: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    which: NDArray[np.int64]
    finite: torch.Tensor


@dataclass(frozen=True)
class Place:
    """Where cutouts are kept, and in which precision; `reason` is a message."""

    way: str
    dtype: torch.dtype
    reason: str


HOST = Place("host", torch.float32, "kept in host memory")


def read_ahead(read: Callable[[Part], Found], parts: Sequence[Part]) -> Iterator[tuple[Part, Found]]:
    """Each part and its data, reading the next part in a thread."""
    with ThreadPoolExecutor(1) as reader:
        ahead = [reader.submit(read, part) for part in parts[:1]]
        for number, part in enumerate(parts, start=1):
            found = ahead.pop().result()
            ahead += [reader.submit(read, next_part) for next_part in parts[number : number + 1]]
            yield part, found


class Feed:
    """Some rows of a manifest and their pixels.

    Parameters
    ----------
    pixels : Pixels
    rows : Rows
        In storage order. After `fill`, only those with finite pixels.
    window : int
        Side in pixels of the central part that is kept of each cutout; it must be finite.
    place : Place
        Where the pixels are kept.
    device : torch.device
        Where batches go.
    """

    def __init__(
        self, pixels: Pixels, rows: Rows, window: int, place: Place = HOST, device: torch.device | None = None
    ) -> None:
        self.pixels, self.rows, self.window, self.place = pixels, rows, window, place
        self.device = device or torch.device("cpu")
        self.memory: torch.Tensor | None = None

    def fill(self) -> Iterator[NDArray[np.float32]]:
        """Read and check every row once, drop those with NaN in the window, and keep the rest at `place`.

        Yields
        ------
        (n, window, window, bands) float32
            The remaining rows, in storage order.

        Raises
        ------
        InputError
            Cutouts smaller than the window, or changed since the manifest was written.
        """
        keep = self.place.way != "stream"
        where = self.device if self.place.way == "device" else torch.device("cpu")
        memory: torch.Tensor | None = None
        good = np.zeros(len(self.rows), bool)
        count = 0
        starts = range(0, len(self.rows), READ_ROWS)
        parts = [slice(start, min(start + READ_ROWS, len(self.rows))) for start in starts]
        for part, whole in read_ahead(lambda part: self.pixels.read(self.rows.at[part]), parts):
            inner = self._central(whole)
            good[part] = np.isfinite(inner).all(axis=(1, 2, 3))
            inner = np.ascontiguousarray(inner[good[part]])
            if keep:
                if memory is None:
                    shape = (len(self.rows), self.window, self.window, inner.shape[3])
                    memory = torch.empty(shape, dtype=self.place.dtype, device=where)
                memory[count : count + len(inner)] = torch.from_numpy(inner).to(where, self.place.dtype)
            count += len(inner)
            yield inner
        self.rows = self.rows.take(good)
        self.memory = None if memory is None else memory[:count]

    def _central(self, whole: NDArray[np.float32]) -> NDArray[np.float32]:
        start = (whole.shape[1] - self.window) // 2
        return whole[:, start : start + self.window, start : start + self.window]

    def batches(self, order: Sequence[NDArray[np.int64]] | NDArray[np.int64]) -> Iterator[Batch]:
        """Batches in the given order: for each batch, indices into the rows."""
        if self.memory is None:
            yield from self._streamed(order)
            return
        for which in order:
            picked = self.memory.index_select(0, torch.from_numpy(which).to(self.memory.device))
            yield self._batch(picked, which)

    def _streamed(self, order: Sequence[NDArray[np.int64]] | NDArray[np.int64]) -> Iterator[Batch]:
        """The same batches from the store: a group is read in sorted order while the previous one is used."""
        per_group = max(1, BUFFER_ROWS // len(order[0])) if len(order) else 1
        groups = [order[i : i + per_group] for i in range(0, len(order), per_group)]
        for group, (places, block) in read_ahead(self._read, groups):
            for which in group:
                yield self._batch(block[torch.from_numpy(np.searchsorted(places, which))], which)

    def _read(self, group: Sequence[NDArray[np.int64]] | NDArray[np.int64]) -> tuple[NDArray[np.int64], torch.Tensor]:
        places = np.unique(np.concatenate(group))
        cutouts = self.pixels.read(self.rows.at[places], crop=self.window, check=False)  # was checked by `fill`
        return places, torch.from_numpy(cutouts)

    def in_order(self, batch: int) -> list[NDArray[np.int64]]:
        """All rows once, in storage order, split into batches."""
        return np.array_split(np.arange(len(self.rows)), range(batch, len(self.rows), batch))

    def _batch(self, cutouts: torch.Tensor, which: NDArray[np.int64]) -> Batch:
        target, weight = (torch.from_numpy(v[which]).to(self.device) for v in (self.rows.target, self.rows.weight))
        cutouts = cutouts.to(self.device)
        return Batch(cutouts, target, weight, which, torch.isfinite(torch.stack(torch.aminmax(cutouts))).all())


def choose_place(values: int, device: torch.device, host_bytes: int, *, asked: str = "auto") -> Place:
    """Choose where to keep the cutouts.

    Parameters
    ----------
    values : int
        Pixels of all rows to keep, in all bands.
    device : torch.device
    host_bytes : int
        Free host memory; up to half of it, and of the device's, is used.
    asked : str
        One of LOCATIONS, or auto.
    """
    need = values * 4
    size = f"{need / 1e9:.2f} GB of cutouts"
    if asked not in ("auto", *LOCATIONS):
        raise InputError(f"no feed '{asked}'", f"use auto, {', '.join(LOCATIONS)}")
    if asked != "auto":
        return Place(asked, torch.float32, f"{size}, {_WHERE[asked]}, as requested")
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if need <= MEMORY_SHARE * free:
            return Place("device", torch.float32, f"{size}, {_WHERE['device']}")
        if need / 2 <= MEMORY_SHARE * free:
            return Place("device", torch.bfloat16, f"{size}, {_WHERE['device']} as bfloat16, which halves the size")
    if need <= MEMORY_SHARE * host_bytes:
        return Place("host", torch.float32, f"{size}, {_WHERE['host']}")
    return Place("stream", torch.float32, f"{size}, {_WHERE['stream']}: more than half of the free memory")


_WHERE = {
    "device": "kept in device memory",
    "host": "kept in host memory",
    "stream": "streamed from the store in shuffled blocks",
}


def epoch_order(
    label: NDArray[np.float32],
    batch: int,
    *,
    seed: int,
    epoch: int,
    positive_share: float | None = None,
    samples: int | None = None,
) -> NDArray[np.int64]:
    """Rows of each batch of an epoch; depends only on the arguments, not on where pixels are kept.

    Parameters
    ----------
    label : (N,) float32
        1 or 0, in storage order.
    batch : int
        Rows per batch; all rows if there are fewer. An incomplete last batch is dropped.
    positive_share : float, optional
        Fraction of lenses in every batch, at least one each; lenses are then repeated. Default: as in the data.
    samples : int, optional
        Rows per epoch; default N.

    Returns
    -------
    (steps, batch) int64
    """
    draw = numpy_generator("order", seed, epoch)
    total = len(label) if samples is None else samples
    batch = min(batch, total)
    steps = total // batch
    positives, negatives = np.flatnonzero(label == 1), np.flatnonzero(label != 1)
    if positive_share is None:
        slots = np.zeros(max(total, len(label)), bool)
        slots[: round(len(slots) * len(positives) / len(label))] = True
        is_positive = draw.permutation(slots)[: steps * batch].reshape(steps, batch)
    else:
        is_positive = np.zeros((steps, batch), bool)
        is_positive[:, : min(max(1, round(positive_share * batch)), batch - 1)] = True
        is_positive = draw.permuted(is_positive, axis=1)
    order = np.empty((steps, batch), np.int64)
    order[is_positive] = _shuffled(positives, int(is_positive.sum()), draw)
    order[~is_positive] = _shuffled(negatives, int((~is_positive).sum()), draw)
    return order


def _shuffled(rows: NDArray[np.int64], count: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """`count` shuffled rows, each used once before any repeats; storage neighbours stay within one shuffle buffer."""
    taken: list[NDArray[np.int64]] = []
    while sum(map(len, taken)) < count:
        blocks = np.array_split(rows, range(BLOCK_ROWS, len(rows), BLOCK_ROWS))
        mixed = np.concatenate([blocks[i] for i in draw.permutation(len(blocks))])
        taken += [draw.permutation(mixed[i : i + BUFFER_ROWS]) for i in range(0, len(mixed), BUFFER_ROWS)]
    return np.concatenate(taken)[:count] if taken else rows[:0]
