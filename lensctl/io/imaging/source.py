"""From pixels and where they came from to a finished shard: what every source of cutouts has in common."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lensctl.io.cutouts import npz_metadata
from lensctl.io.cutouts.layout import Layout, index_rows
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.cutouts.writer import ShardWriter
from lensctl.rules import quality

if TYPE_CHECKING:
    import pyarrow as pa

PASSING = ("pending", "http_error", "timeout", "bad_file", "missing_brick")
"""Failures that may be gone tomorrow: the service was down, or a file had not been copied yet."""


@dataclass(frozen=True)
class Cuts:
    """Cutouts and what is known of where they come from.

    Parameters
    ----------
    images : (N, S, S, B) float32
        Nanomaggies; NaN where there is nothing.
    columns : dict of N values each
        Columns of the index. `status` is None where the pixels decide.
    planes : dict of (N, S, S, B) or (N, S, S) arrays
        The further arrays that the store is to have.
    """

    images: NDArray[np.float32]
    columns: dict[str, list[Any]]
    planes: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One shard to make.

    Parameters
    ----------
    shard : int
    rows : pa.Table
        The objects to cut.
    places : (n,) int, optional
        Where in the shard they stand, if not all of it is to be cut: the rest is taken from `old`.
    old : str
        A finished store of the same table.
    """

    shard: int
    rows: pa.Table
    places: NDArray[np.int64] | None = None
    old: str = ""


BEFORE = "done before"
"""Stands for a status where the number of rows just done includes some that were there already."""
Advance = Callable[[Counter[str]], None]
"""Takes the statuses of the rows just done."""


class CutoutSource(Protocol):
    """Where pixels come from."""

    @property
    def name(self) -> str:
        """What the index calls it."""

    def prepare(self, table: pa.Table) -> pa.Table:
        """The table with what the source adds to it; InputError, before anything is written, where it cannot."""

    def order(self, shards: list[int]) -> list[int]:
        """The same shards in the order in which it likes to make them."""

    def make(self, tasks: Iterator[Task], writer: ShardWriter, advance: Advance) -> None:
        """Write the shard of every task, and tell the statuses of rows as they are done."""


Each = Callable[[Callable[[Task], Counter[str]], Iterator[Task]], Iterable[Counter[str]]]
"""Runs a function over tasks, here or elsewhere."""


def make_by(each: Each, source: CutoutSource, tasks: Iterator[Task], writer: ShardWriter, advance: Advance) -> None:
    """Like `source.make`, each shard wherever `each` runs it."""
    for statuses in each(functools.partial(_make_one, source, writer), tasks):
        advance(statuses)


def _make_one(source: CutoutSource, writer: ShardWriter, task: Task) -> Counter[str]:
    statuses: Counter[str] = Counter()
    source.make(iter([task]), writer, statuses.update)
    return statuses


def tasks(table: pa.Table, layout: Layout, shards: list[int], old: Store | None) -> Iterator[Task]:
    """What is left to do: the shards, of an older store only those of their rows that failed for a passing reason."""
    failed = passing_rows(old) if old is not None else np.zeros(0, np.int64)
    for shard in shards:
        start, stop = layout.span(shard)
        if old is None:
            yield Task(shard, table.take(np.arange(start, stop)))
        else:
            places = failed[(failed >= start) & (failed < stop)]
            yield Task(shard, table.take(places), places - start, old.path)


def passing_rows(store: Store) -> NDArray[np.int64]:
    """Rows of a store that failed for a passing reason."""
    status = store.columns("status")["status"].to_numpy()
    return np.flatnonzero(np.isin(status.astype(str), PASSING))


def complete(task: Task, cuts: Cuts, source: str, writer: ShardWriter) -> Counter[str]:
    """Write the shard of a task: its cutouts, among those of the older store where there is one; tells statuses."""
    import pyarrow as pa

    images, rows, planes = cuts.images, index_of(task.rows, cuts, source), dict(cuts.planes)
    statuses = Counter(rows["status"].to_pylist())
    if task.places is not None:
        store = open_store(task.old, changing=True)
        start, stop = store.layout.span(task.shard)
        statuses[BEFORE] = stop - start - task.rows.num_rows
        known = store.index.slice(start, stop - start).replace_schema_metadata(None)
        both = pa.concat_tables([known, rows.cast(known.schema)])
        order = np.arange(stop - start)
        order[task.places] = stop - start + np.arange(len(task.places))
        rows = both.take(order)
        images = store.read_range(start, stop)
        images[task.places] = cuts.images
        for name, cut in cuts.planes.items():
            planes[name] = store.read_plane(name, start, stop)
            planes[name][task.places] = cut
    writer.write(task.shard, images, rows, planes=planes)
    return statuses


def index_of(rows: pa.Table, cuts: Cuts, source: str) -> pa.Table:
    """Rows of the index: what is known of the objects, of where their pixels come from, and of the pixels."""
    measured = quality.measure(cuts.images)
    status = [told or found for told, found in zip(cuts.columns["status"], measured["status"], strict=True)]
    columns = {
        **measured,
        **cuts.columns,
        "status": status,
        "galaxy_id": rows["galaxy_id"],
        "ra": rows["ra"],
        "dec": rows["dec"],
        "source": [source] * rows.num_rows,
        "cutout_sha256": quality.fingerprints(cuts.images),
    }
    along = [name for name in npz_metadata.CARRIED if name in rows.column_names]
    meta = rows.select(along).rename_columns([f"meta_{name}" for name in along]) if along else None
    return index_rows(columns, meta)
