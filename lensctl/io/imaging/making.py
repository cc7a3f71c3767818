"""Cut images of a table's rows into a store, shard by shard, from brick coadds or the cutout service."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.astro import brick_names
from lensctl.io.cutouts import npz_folder
from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.store import Store, is_store, open_store
from lensctl.io.cutouts.writer import StoreWriter
from lensctl.io.imaging.bricks import BRICK_COLUMN, bricks_at
from lensctl.io.imaging.source import (
    BEFORE,
    Advance,
    CutoutSource,
    Each,
    NothingAnswered,
    make_by,
    tasks,
    transient_failures,
)
from lensctl.io.provenance.steps import Chain
from lensctl.io.storage import resumable
from lensctl.io.storage.growing_folders import begin_folder, is_begun, is_complete
from lensctl.io.tables.declared_types import conform
from lensctl.rules import quality, schema
from lensctl.rules.errors import InputError, Unfinished
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class MadeStore:
    """Result of `make`.

    Parameters
    ----------
    store : Store, optional
        None if only a part of it was made.
    statuses : Counter
        Rows by status, of the store or of the part made.
    cut : int
        Rows cut by this run; the others were done before.
    """

    store: Store | None
    statuses: Counter[str]
    cut: int

    @property
    def without_pixels(self) -> int:
        """Rows that failed and have no pixels."""
        return sum(count for status, count in self.statuses.items() if status not in quality.WITH_PIXELS)


def part_of(text: str) -> tuple[int, int]:
    """K and N of a part K/N; InputError if it is none."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"'{text}' is not a part", "write it as K/N, such as 1/8 to 8/8")
    return int(found[1]), int(found[2])


def checked(table: pa.Table, where: str, survey: Survey = LS_DR10) -> pa.Table:
    """The table with its columns cast to their declared types, checked so that every row can have a cutout.

    Raises InputError for missing columns, no rows, null or duplicate ids, ids that cannot be file names, and invalid
    positions.
    """
    schema.require(table, "galaxy_id", "ra", "dec", where=where)
    if not table.num_rows:
        raise InputError(f"{where}: the table has no rows", "check the step that made it")
    table = conform(table, where, survey)
    schema.refuse_nulls(table, "galaxy_id", where=where)
    schema.refuse_bad_positions(table, where)
    brick_names.refuse_far(table, where, survey)
    schema.refuse_duplicates(table, where=where)
    npz_folder.refuse_bad_names(table["galaxy_id"].to_pylist())
    return table


def make(
    table: pa.Table,
    path: str,
    source: CutoutSource,
    layout: Layout,
    chain: Chain,
    *,
    overwrite: bool = False,
    part: tuple[int, int] | None = None,
    make_shards: bool = True,
    each: Each | None = None,
    advance: Advance = lambda statuses: None,
) -> MadeStore:
    """Make the store of a table's cutouts, or resume it.

    Parameters
    ----------
    table : pa.Table
        Checked rows, with the columns the source needs.
    path : str
        The store.
    source : CutoutSource
    layout : Layout
    chain : Chain
        Provenance of the store, its own step last; tells whether an existing store was made by the same job.
    overwrite : bool
        Replace any existing store.
    part : (K, N), optional
        Make only every Nth shard, starting at the Kth, and leave the store unfinished.
    make_shards : bool
        False: make no shards, only finish the store.
    each : callable, optional
        Runs a function over shards elsewhere; by default the source runs it here.
    advance : callable
        Called with the statuses of the rows just done.

    Returns
    -------
    MadeStore
        If the job was finished before, rows that failed transiently are retried, and the store is rewritten only if
        the status of one of them changed.

    Raises
    ------
    InputError
        The store exists and was made by another job, or another run of this job is in progress.
    """
    old = None if overwrite else _finished(path, chain, layout)
    again = [] if old is None else transient_failures(old).tolist()
    failed = {row // layout.shard_rows for row in again}
    if old is not None and not again and not is_begun(path):
        advance(Counter({BEFORE: layout.rows}))
        return MadeStore(old, _statuses(old), 0)
    table = source.prepare(table)
    own = f"{part[0]}-of-{part[1]}" if part else None
    with begin_folder(
        path, chain[-1].as_dict(), overwrite=overwrite, afresh=overwrite, again=old is not None, part=own
    ) as place:
        writer = StoreWriter(place, layout)
        if old is not None:
            for shard in set(writer.missing()) - failed:
                writer.adopt(shard, old)
        missing = [shard for shard in writer.missing() if part is None or shard % part[1] == part[0] - 1]
        if missing and not make_shards:
            raise Unfinished(
                f"{path}: {len(missing)} of {layout.shards} shards are missing, first {missing[0]}",
                "complete the parts that make them, then rerun with --finish",
            )
        counts = [layout.span(shard)[1] - layout.span(shard)[0] for shard in missing]
        advance(Counter({BEFORE: layout.rows - sum(counts)}))
        todo = tasks(table, layout, source.order(missing), old)
        is_first = old is None and part is None and len(missing) == layout.shards
        try:
            if each is not None:
                make_by(each, source, todo, writer.writer, advance)
            else:
                source.make(todo, writer.writer, advance)
        except NothingAnswered:
            if is_first:
                place.abandon()  # so that a run with another address may begin
                raise
        if part is not None:
            statuses = (writer.writer.rows(shard)["status"].to_pylist() for shard in missing)
            return MadeStore(None, Counter(itertools.chain.from_iterable(statuses)), sum(counts))
        if old is not None and all(_is_as_before(writer, shard, old) for shard in failed):
            place.abandon()
        else:
            writer.finish(chain, {"source": source.name})
    store = open_store(path)
    return MadeStore(store, _statuses(store), sum(counts) if old is None else len(again))


def _finished(path: str, chain: Chain, layout: Layout) -> Store | None:
    """The store at a path, if made by the same job; None if there is nothing.

    Raises InputError if there is another store, or something else.
    """
    if not is_complete(path):
        return open_store(path, changing=True) if is_begun(path) and is_store(path) else None
    if not is_store(path):
        raise InputError(f"{path} exists and is not a cutout store", "name another store, or use --overwrite")
    store = open_store(path)
    if store.chain and store.chain[-1].id == chain[-1].id and store.layout == layout:
        return store
    existing = store.chain[-1].as_dict() if store.chain else {}
    differs = resumable.difference(existing, chain[-1].as_dict())
    raise InputError(f"{path} exists and was made differently: {differs}", "name another store, or use --overwrite")


def _is_as_before(writer: StoreWriter, shard: int, old: Store) -> bool:
    start, stop = old.layout.span(shard)
    before = old.index["status"].slice(start, stop - start).to_pylist()
    return bool(writer.writer.rows(shard)["status"].to_pylist() == before)


def _statuses(store: Store) -> Counter[str]:
    return Counter(store.columns("status")["status"].to_pylist())


def ahead(table: pa.Table, source: CutoutSource, layout: Layout, known: pa.Table | None = None) -> dict[str, int]:
    """What a run would do: rows, shards, uncompressed bytes of pixels, and bricks if known.

    Parameters
    ----------
    known : pa.Table, optional
        The survey's brick table, to find the bricks of positions and those outside the footprint.
    """
    prepared = source.prepare(table)
    counts = {"rows": table.num_rows, "shards": layout.shards}
    counts["bytes"] = table.num_rows * layout.size**2 * len(layout.bands) * 4
    if known is not None:
        names = bricks_at(known, table["ra"].to_numpy(), table["dec"].to_numpy())
    elif BRICK_COLUMN in prepared.column_names:
        names = prepared[BRICK_COLUMN].to_pylist()
    else:
        return counts
    counts["bricks"] = len(set(names) - {None})
    counts["outside_footprint"] = names.count(None)
    return counts
