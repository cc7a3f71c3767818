"""Common to all cutout sources: from pixels and their origin to a finished shard."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lensctl.io.cutouts import npz_metadata
from lensctl.io.cutouts.layout import ORIGIN_COLUMNS, Layout, index_rows
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.cutouts.writer import ShardWriter
from lensctl.rules import quality
from lensctl.rules.errors import ServiceError
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa

TRANSIENT = ("pending", "http_error", "timeout", "bad_file", "missing_brick")
"""Statuses of transient failures: the service was down, or a file had not been copied yet."""


CUT_COLUMNS = ("status", *ORIGIN_COLUMNS)
"""Columns of the index that a source fills in; None where it has nothing to say."""


class NothingAnswered(ServiceError):
    """A service answered no request at all: there is nothing of it to keep."""


class Unanswered(Exception):
    """A remote source did not deliver what was requested; a transient failure.

    Attributes
    ----------
    status : str
        http_error or timeout.
    http_status : int, optional
        HTTP status of the response, if any.
    """

    def __init__(self, status: str, reason: str, http_status: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.http_status = status, http_status


@dataclass(frozen=True)
class Cuts:
    """Cutouts and the index columns on their origin.

    Parameters
    ----------
    images : (N, S, S, B) float32
        Nanomaggies; NaN where there are no data.
    columns : dict of N values each
        Columns of the index. `status` is None if the pixels decide.
    planes : dict of (N, S, S, B) or (N, S, S) arrays
        The additional arrays of the store.
    more : pa.Table, optional
        N rows of columns beyond those that every store has.
    """

    images: NDArray[np.float32]
    columns: dict[str, list[Any]]
    planes: dict[str, NDArray[Any]] = field(default_factory=dict)
    more: pa.Table | None = None


@dataclass(frozen=True)
class Task:
    """One shard to make.

    Parameters
    ----------
    shard : int
    rows : pa.Table
        The objects to cut.
    places : (n,) int, optional
        Their rows in the shard, if only some are to be cut: the rest is taken from `old`.
    old : str
        A finished store of the same table.
    """

    shard: int
    rows: pa.Table
    places: NDArray[np.int64] | None = None
    old: str = ""


BEFORE = "done before"
"""Pseudo-status for rows taken over from an earlier run."""
Advance = Callable[[Counter[str]], None]
"""Called with the statuses of the rows just done."""


class CutoutSource(Protocol):
    """A source of cutouts."""

    @property
    def name(self) -> str:
        """Its name in the index."""

    @property
    def survey(self) -> Survey:
        """The survey whose bands it cuts."""

    @property
    def max_empty(self) -> float:
        """Greatest fraction of empty inner pixels in any band of a usable cutout."""

    def prepare(self, table: pa.Table) -> pa.Table:
        """The table with the columns the source needs; InputError, before anything is written, if it cannot cut it."""

    def order(self, shards: list[int]) -> list[int]:
        """The same shards in the order the source prefers."""

    def make(self, tasks: Iterator[Task], writer: ShardWriter, advance: Advance) -> None:
        """Write the shard of every task, and report row statuses as they are done."""


Each = Callable[[Callable[[Task], Counter[str]], Iterator[Task]], Iterable[Counter[str]]]
"""Maps a function over tasks, locally or on a cluster."""


def make_by(each: Each, source: CutoutSource, tasks: Iterator[Task], writer: ShardWriter, advance: Advance) -> None:
    """Like `source.make`, with the shards run by `each`."""
    for statuses in each(functools.partial(_make_one, source, writer), tasks):
        advance(statuses)


def _make_one(source: CutoutSource, writer: ShardWriter, task: Task) -> Counter[str]:
    statuses: Counter[str] = Counter()
    source.make(iter([task]), writer, statuses.update)
    return statuses


def tasks(table: pa.Table, layout: Layout, shards: list[int], old: Store | None) -> Iterator[Task]:
    """The remaining tasks: whole shards, or with an older store only the rows that failed transiently."""
    failed = transient_failures(old) if old is not None else np.zeros(0, np.int64)
    for shard in shards:
        start, stop = layout.span(shard)
        if old is None:
            yield Task(shard, table.take(np.arange(start, stop)))
        else:
            places = failed[(failed >= start) & (failed < stop)]
            yield Task(shard, table.take(places), places - start, old.path)


def transient_failures(store: Store) -> NDArray[np.int64]:
    """Rows of a store with a transient failure."""
    status = store.columns("status")["status"].to_numpy()
    return np.flatnonzero(np.isin(status.astype(str), TRANSIENT))


def complete(task: Task, cuts: Cuts, source: CutoutSource, writer: ShardWriter) -> Counter[str]:
    """Write the shard of a task, merging in the older store's cutouts if there is one; returns the statuses."""
    import pyarrow as pa

    images, rows, planes = cuts.images, index_of(task.rows, cuts, source, writer.layout), dict(cuts.planes)
    statuses = Counter(rows["status"].to_pylist())
    if task.places is not None:
        store = open_store(task.old, changing=True)
        start, stop = store.layout.span(task.shard)
        statuses[BEFORE] = stop - start - task.rows.num_rows
        known = store.index.slice(start, stop - start).replace_schema_metadata(None)
        both = pa.concat_tables([known, rows.select(known.schema.names).cast(known.schema)])
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


def index_of(rows: pa.Table, cuts: Cuts, source: CutoutSource, layout: Layout) -> pa.Table:
    """Rows of the index: columns on the objects, on the origin of their pixels, and on the pixels."""
    import pyarrow as pa

    measured = quality.measure(cuts.images, layout.bands, source.max_empty)
    status = [recorded or found for recorded, found in zip(cuts.columns["status"], measured["status"], strict=True)]
    columns = {
        **measured,
        **cuts.columns,
        "status": status,
        "galaxy_id": rows["galaxy_id"],
        "ra": rows["ra"],
        "dec": rows["dec"],
        "source": [source.name] * rows.num_rows,
        "cutout_sha256": quality.fingerprints(cuts.images),
    }
    carried = [name for name in npz_metadata.carried(source.survey) if name in rows.column_names]
    meta = rows.select(carried).rename_columns([f"meta_{name}" for name in carried]) if carried else None
    extra = [table for table in (meta, cuts.more) if table is not None]
    beyond = pa.table({name: table[name] for table in extra for name in table.column_names}) if extra else None
    return index_rows(layout, columns, beyond)
