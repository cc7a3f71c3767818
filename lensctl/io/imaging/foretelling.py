"""How long a run will take: the rate of a source, measured on a few real cutouts of the table, which are not kept."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.clock import CLOCK
from lensctl.io.cutouts.layout import Layout
from lensctl.io.imaging.bricks import BRICK_COLUMN
from lensctl.io.imaging.source import BEFORE, CutoutSource, Task
from lensctl.rules import quality

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MEASURED, MOST_MEASURED = 20, 500


@dataclasses.dataclass(frozen=True)
class Rate:
    """A measured rate.

    Attributes
    ----------
    rows : int
        Rows that were cut.
    per_second : float, optional
        Rows a second of one process; None if none of them came with pixels.
    """

    rows: int
    per_second: float | None


class _Nowhere:
    """A writer that keeps nothing."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def write(self, shard: int, images: Any, rows: Any, *, planes: Any) -> None:
        """Does nothing."""


def measured_rate(source: CutoutSource, table: pa.Table, layout: Layout) -> Rate:
    """Cut some rows of a table, spread over it; those of coadds as all the rows of some bricks.

    Raises ServiceError if the source does not respond, InputError if it cannot cut this table.
    """
    prepared = source.prepare(table)
    of_brick = prepared[BRICK_COLUMN].to_numpy(zero_copy_only=False) if BRICK_COLUMN in prepared.column_names else None
    rows = prepared.take(_some(table.num_rows, of_brick))
    statuses: Counter[str] = Counter()
    nowhere: Any = _Nowhere(dataclasses.replace(layout, rows=rows.num_rows, shard_rows=rows.num_rows))
    started = CLOCK.now()
    source.make(iter([Task(0, rows)]), nowhere, statuses.update)
    seconds = CLOCK.now() - started
    del statuses[BEFORE]
    with_pixels = sum(count for status, count in statuses.items() if status in quality.WITH_PIXELS)
    return Rate(rows.num_rows, rows.num_rows / seconds if with_pixels else None)


def _some(count: int, of_brick: NDArray[Any] | None) -> NDArray[np.int64]:
    """Rows spread over a table of `count`, or, if the brick of each is given, all rows of bricks spread over it."""
    if of_brick is None:
        return np.unique(np.linspace(0, count - 1, min(count, MEASURED)).round().astype(np.int64))
    names = np.unique(of_brick[of_brick != None].astype(str))  # noqa: E711
    chosen: list[NDArray[np.int64]] = []
    for place in np.unique(np.linspace(0, len(names) - 1, min(len(names), MEASURED)).round().astype(np.int64)):
        if sum(map(len, chosen)) < MEASURED:
            chosen.append(np.flatnonzero(of_brick == names[place]))
    return np.concatenate([*chosen, np.zeros(0, np.int64)])[:MOST_MEASURED]
