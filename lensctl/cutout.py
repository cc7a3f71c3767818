"""Cutouts of the rows of a table into a store, shard by shard, from brick coadds or the cutout service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.doors import cutting, jobs, npz_folder, provenance
from lensctl.doors.store import Store, is_store, open_store
from lensctl.doors.store_layout import Layout
from lensctl.doors.store_writer import StoreWriter
from lensctl.words import quality, schema
from lensctl.words.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Made:
    """What became of a table's rows.

    Parameters
    ----------
    store : Store
    statuses : Counter
        Its rows by status.
    cut : int
        Rows that were cut by this run; the others it found done.
    """

    store: Store
    statuses: Counter[str]
    cut: int

    @property
    def without_pixels(self) -> int:
        """Rows for which there is nothing but the reason why."""
        return sum(count for status, count in self.statuses.items() if status not in quality.WITH_PIXELS)


def checked(table: pa.Table, where: str) -> pa.Table:
    """The table with its columns in their declared types, if every row can have a cutout.

    Raises InputError for missing columns, no rows, null or repeated ids, ids that cannot name a file, and positions
    that are none.
    """
    schema.require(table, "galaxy_id", "ra", "dec", where=where)
    if not table.num_rows:
        raise InputError(f"{where}: the table has no rows", "see the step that made it")
    table = schema.conform(table, where)
    schema.refuse_nulls(table, "galaxy_id", where=where)
    schema.refuse_bad_positions(table, where)
    schema.refuse_duplicates(table, where=where)
    npz_folder.refuse_bad_names(table["galaxy_id"].to_pylist())
    return table


def cutout(
    table: pa.Table,
    path: str,
    source: cutting.Source,
    lies: Layout,
    chain: provenance.Chain,
    *,
    overwrite: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> Made:
    """Make the store of a table's cutouts, or go on with it.

    Parameters
    ----------
    table : pa.Table
        Checked rows, with what the source needs.
    path : str
        The store.
    source : Source
    lies : Layout
    chain : Chain
        The steps of the store, its own last: it tells whether what is there is this very job's.
    overwrite : bool
        Make it afresh, whatever is there.
    advance : callable
        Called with the number of rows just done.

    Returns
    -------
    Made
        Where the job was finished before, rows that failed for a passing reason were tried again, and the store was
        written again only if one of them fared otherwise.

    Raises
    ------
    InputError
        The store exists and is another's, or another run of the job is going on.
    """
    old = None if overwrite else _finished(path, chain, lies)
    again = [] if old is None else cutting.passing_rows(old).tolist()
    failed = {row // lies.shard_rows for row in again}
    if old is not None and not again:
        advance(lies.rows)
        return Made(old, _statuses(old), 0)
    table = source.prepare(table)
    with jobs.job(path, chain[-1].as_dict(), overwrite=overwrite or old is not None, afresh=overwrite) as job:
        writer = StoreWriter(job, lies)
        if old is not None:
            for shard in set(writer.missing()) - failed:
                writer.adopt(shard, old)
        missing = writer.missing()
        counts = [lies.span(shard)[1] - lies.span(shard)[0] for shard in missing]
        advance(lies.rows - sum(counts))
        source.make(cutting.tasks(table, lies, missing, old), writer.writer, advance)
        if old is not None and all(_is_as_before(writer, shard, old) for shard in failed):
            job.abandon()
        else:
            writer.finish(chain, {"source": source.name})
    store = open_store(path)
    return Made(store, _statuses(store), sum(counts) if old is None else len(again))


def _finished(path: str, chain: provenance.Chain, lies: Layout) -> Store | None:
    """The store at a path, if this very job made it; None where there is nothing.

    Raises InputError where another store, or something else, is there.
    """
    if not Path(path).exists():
        return None
    if not is_store(path):
        raise InputError(f"{path} exists and is no cutout store", "name another store, or --overwrite to replace it")
    store = open_store(path)
    if store.chain and store.chain[-1].id == chain[-1].id and store.layout == lies:
        return store
    made = store.chain[-1].as_dict() if store.chain else {}
    differs = jobs.difference(made, chain[-1].as_dict())
    raise InputError(f"{path} exists and was made otherwise: {differs}", "name another store, or --overwrite")


def _is_as_before(writer: StoreWriter, shard: int, old: Store) -> bool:
    start, stop = old.layout.span(shard)
    before = old.index["status"].slice(start, stop - start).to_pylist()
    return bool(writer.writer.rows(shard)["status"].to_pylist() == before)


def _statuses(store: Store) -> Counter[str]:
    return Counter(store.columns("status")["status"].to_pylist())


def ahead(table: pa.Table, source: cutting.Source, lies: Layout) -> dict[str, int]:
    """What a run would do: objects, the bricks they lie in, shards, and bytes of pixels without compression."""
    prepared = source.prepare(table)
    counts = {"rows": table.num_rows, "shards": lies.shards}
    counts["bytes"] = table.num_rows * lies.size**2 * len(lies.bands) * 4
    added = [name for name in prepared.column_names if name not in table.column_names]
    for name in added:
        bricks = prepared[name]
        counts["bricks"] = len(bricks.drop_null().unique())
        counts["outside_footprint"] = bricks.null_count
    return counts
