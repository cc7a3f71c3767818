"""Write a store as a folder of .npz files, shard by shard."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lensctl.io import workers
from lensctl.io.cutouts import npz, npz_columns, npz_metadata
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.provenance.steps import Chain, to_json
from lensctl.io.storage import resumable
from lensctl.rules import object_names
from lensctl.rules.errors import InputError

Array = npz.Array


def refuse_bad_names(galaxy_ids: list[str | None]) -> None:
    """Raise InputError for the first id that cannot be a file name."""
    for row, id in enumerate(galaxy_ids):
        problem = "is empty" if not id else "has a /" if "/" in id else "begins with ." if id[0] == "." else ""
        problem = problem or object_names.problem(f".{id}.npz.part")
        if problem:
            raise InputError(f"row {row}: galaxy_id {id!r} {problem} and cannot be a file name", "give it another id")


def write(
    store: Store,
    folder: str | Path,
    chain: Chain,
    *,
    compress: bool = False,
    ok_only: bool = False,
    check: bool = True,
    overwrite: bool = False,
    processes: int | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> int:
    """Write one .npz per cutout, `GALAXY_ID.npz`; the folder appears once all are written.

    Parameters
    ----------
    store : Store
    folder : path
        To create. An interrupted run resumes with the missing files.
    chain : Chain
        Provenance stored in each file.
    compress : bool
        Deflate, as in the plan's files.
    ok_only : bool
        Skip cutouts that are not `cutout_ok`.
    check : bool
        Compare the pixels with the store's `cutout_sha256`.
    processes : int, optional
        One per core if not given.
    advance : callable
        Called with the number of files just written.

    Returns
    -------
    int
        Number of files.
    """
    known = store.columns("galaxy_id", "cutout_ok")
    refuse_bad_names(known["galaxy_id"].to_pylist())
    identity = {"step": chain[-1].as_dict(), "store": store.digest}
    with resumable.job(folder, identity, overwrite=overwrite) as job:
        one = functools.partial(_write_shard, store.path, str(job.built), to_json(chain), compress, ok_only, check)
        count = 0
        _opened.cache_clear()  # the path may have held another store
        for done in workers.each(one, range(store.layout.shards), processes):
            advance(done)
            count += done
        os.sync()  # once for all: half a million single flushes take longer than everything else
        job.finish(flushed=True)
    return count


def _write_shard(
    store_path: str, folder: str, chain: str, compress: bool, ok_only: bool, check: bool, shard: int
) -> int:
    store = _opened(store_path)
    start, stop = store.layout.span(shard)
    metas = metas_of(store, start, stop)
    images = store.read_range(start, stop, check=check)
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
    """The `meta_*` of some rows: the original ones if the store was packed, else from the index."""
    rows = store.index.slice(start, stop - start)
    declared = [name for name in store.layout.index_columns if name in rows.column_names]
    extra = [name for name in rows.column_names if name not in declared]
    carried: list[dict[str, Array]] = npz_columns.metas_of(rows.select(extra)) if extra else [{}] * rows.num_rows
    if "meta_galaxy_id" in extra:
        return carried
    index: list[dict[str, Any]] = rows.select(declared).to_pylist()
    return [npz_metadata.members(row, more) for row, more in zip(index, carried, strict=True)]


@functools.lru_cache(maxsize=1)
def _opened(path: str) -> Store:
    return open_store(path)
