"""A folder of .npz files, written from a store shard by shard."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lensctl.io import workers
from lensctl.io.cutouts import npz, npz_columns, npz_metadata
from lensctl.io.cutouts.layout import INDEX_COLUMNS
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.provenance.steps import Chain, to_json
from lensctl.io.storage import resumable
from lensctl.rules import object_names
from lensctl.rules.errors import InputError

Array = npz.Array


def refuse_bad_names(galaxy_ids: list[str | None]) -> None:
    """Raise InputError for the first id that cannot be the name of a file."""
    for row, id in enumerate(galaxy_ids):
        why = "is empty" if not id else "has a /" if "/" in id else "begins with ." if id[0] == "." else ""
        why = why or object_names.problem(f".{id}.npz.part")
        if why:
            raise InputError(f"row {row}: galaxy_id {id!r} {why}, it cannot name a file", "give it another id")


def write(
    store: Store,
    folder: str | Path,
    chain: Chain,
    *,
    compress: bool = False,
    ok_only: bool = False,
    overwrite: bool = False,
    processes: int | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> int:
    """Write one .npz per cutout, `GALAXY_ID.npz`; the folder appears when all of them are there.

    Parameters
    ----------
    store : Store
    folder : path
        To make. A run that was killed goes on with the files it lacks.
    chain : Chain
        The steps each file carries.
    compress : bool
        Deflate, as the plan's own files are.
    ok_only : bool
        Leave out cutouts that are not `cutout_ok`.
    processes : int, optional
        One per core if not given.
    advance : callable
        Called with the number of files just done.

    Returns
    -------
    int
        Number of files.
    """
    known = store.columns("galaxy_id", "cutout_ok")
    refuse_bad_names(known["galaxy_id"].to_pylist())
    identity = {"step": chain[-1].as_dict(), "store": store.digest}
    with resumable.job(folder, identity, overwrite=overwrite) as job:
        one = functools.partial(_write_shard, store.path, str(job.built), to_json(chain), compress, ok_only)
        count = 0
        _opened.cache_clear()  # of another store that was there
        for done in workers.each(one, range(store.layout.shards), processes):
            advance(done)
            count += done
        os.sync()  # once for all of them: half a million single flushes take longer than everything else
        job.finish(flushed=True)
    return count


def _write_shard(store_path: str, folder: str, chain: str, compress: bool, ok_only: bool, shard: int) -> int:
    store = _opened(store_path)
    start, stop = store.layout.span(shard)
    metas = metas_of(store, start, stop)
    images = store.read_range(start, stop)
    ok = store.index["cutout_ok"].slice(start, stop - start).to_pylist()
    ids = store.index["galaxy_id"].slice(start, stop - start).to_pylist()
    steps = np.array(chain.encode())
    count = 0
    for id, image, meta, good in zip(ids, images, metas, ok, strict=True):
        if good or not ok_only:
            npz.write_npz(f"{folder}/{id}.npz", image, {**meta, npz.PROVENANCE: steps}, compress, keep=True)
            count += 1
    return count


def metas_of(store: Store, start: int, stop: int) -> list[dict[str, Array]]:
    """The `meta_*` of some rows: those that came along where the store was packed, else what the index knows."""
    rows = store.index.slice(start, stop - start)
    along = [name for name in rows.column_names if name not in INDEX_COLUMNS]
    carried: list[dict[str, Array]] = npz_columns.metas_of(rows.select(along)) if along else [{}] * rows.num_rows
    if "meta_galaxy_id" in along:
        return carried
    told: list[dict[str, Any]] = rows.select(list(INDEX_COLUMNS)).to_pylist()
    return [npz_metadata.members(row, more) for row, more in zip(told, carried, strict=True)]


@functools.lru_cache(maxsize=1)
def _opened(path: str) -> Store:
    return open_store(path)
