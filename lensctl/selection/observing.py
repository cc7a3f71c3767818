"""`lensctl selection observe`: what can be seen of the arcs in the cutouts of a table of scores."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lensctl.injection import observables
from lensctl.io.cutouts.by_manifest import refuse_other_places
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.tables.files import read_table, refuse_rows, refuse_tables, write_table
from lensctl.io.workers import each
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.selection.psf_sizes import psf_sizes

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

BLOCK_ROWS = 256
NOT_IN_STORE = "not in the store"


def observe(
    scores: str | Path,
    store: str | Path,
    output: str | Path,
    *,
    survey: Survey | str | None = None,
    check_pixels: bool = True,
    workers: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Add to a table of scores what can be seen of arcs in the cutouts, real or injected, and of the pixels.

    And psfsize of each band where the table has none.

    Parameters
    ----------
    scores, store, output : path
        Table with galaxy_id, `-` is stdin; the store of its cutouts; table to write, `-` is stdout.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the inputs name none.
    check_pixels : bool
        Compare the pixels with the recorded `cutout_sha256`.
    workers : int, optional
        Processes; default one per core. They change nothing in the output.

    Returns
    -------
    Receipt
        With rows, those observed, and those left out by reason.

    Raises
    ------
    InputError
        A table that has these columns already, or none of whose rows has a good cutout in the store; cutouts of another
        place, of other pixels or of other bands than the table's, or too small; no psfsize.
    """
    import pyarrow as pa

    scores, output = str(scores), str(output)
    refuse_tables(output, overwrite=overwrite, format=format)
    table = read_table(scores, format=format if scores == "-" else None)
    where = "stdin" if scores == "-" else scores
    opened, chain = open_store(store), chain_of(table, scores)
    of = common_survey(survey, chain, opened.chain)
    opened.refuse_other_survey()
    observables.refuse_unfit(opened.size, opened.bands, of, opened.path)
    refuse_observed(table, of, where)
    found = _places(table, opened, where)
    psfsize = psf_sizes(table, opened, found.row, found.usable, of, where)
    refuse_rows(table, output, format)
    if check_pixels and opened.recorded.note:
        report.say(opened.recorded.note)
    columns = {name: np.full(table.num_rows, np.nan) for name in observables.names(of)}
    order = np.flatnonzero(found.usable)
    order = order[np.argsort(found.row[order], kind="stable")]
    blocks = [order[start : start + BLOCK_ROWS] for start in range(0, len(order), BLOCK_ROWS)]
    tasks = (_Task(block, found.row[block], psfsize[block]) for block in blocks)
    with report.progress("cutouts observed", table.num_rows) as advance:
        advance(table.num_rows - len(order))
        for at, seen in each(functools.partial(_observed, opened.path, of, check_pixels), tasks, workers):
            for name, values in seen.items():
                columns[name][at] = values
            advance(len(at))
    for reason, count in sorted(found.left_out.items()):
        report.say(f"nothing observed for {count:,} rows: {reason}")
    inputs = (
        step_input("scores", scores, digests.of_table(table), chain),
        step_input("cutouts", store, opened.digest, opened.chain),
    )
    step = Step("selection observe", {}, inputs, survey=of)
    for name, values in observables.arrays_of(columns, found.usable).items():
        table = table.append_column(name, values)
    for band, size in zip(of.bands, psfsize.T, strict=True):
        if f"psfsize_{band}" not in table.column_names:
            table = table.append_column(f"psfsize_{band}", pa.array(size.astype(np.float32), from_pandas=True))
    write_table(stamp(table, extend(step, chain, opened.chain)), output, overwrite=overwrite, format=format)
    return {
        "command": "selection",
        "action": "observe",
        "output": output,
        "rows": table.num_rows,
        "observed": len(order),
        "left_out": dict(sorted(found.left_out.items())),
    }


def refuse_observed(table: pa.Table, survey: Survey, where: str) -> None:
    """Raise InputError for a table that has a column of those that `observe` adds."""
    taken = [name for name in observables.names(survey) if name in table.column_names]
    if taken:
        raise InputError(f"{where}: already has a column '{taken[0]}'", "observe the scores, not what was observed")


class _Task(NamedTuple):
    at: NDArray[np.int64]
    rows: NDArray[np.int64]
    psfsize: NDArray[np.float64]


class _Places(NamedTuple):
    """Row of each galaxy in the store (0 where there is none), whether its cutout is there and good, and why not."""

    row: NDArray[np.int64]
    usable: NDArray[np.bool_]
    left_out: Counter[str]


def _observed(
    path: str, survey: Survey, check: bool, task: _Task
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    images = open_store(path).read(task.rows, check=check)
    return task.at, observables.observe(images, task.psfsize, survey)


def _places(table: pa.Table, store: Store, where: str) -> _Places:
    """Where the galaxies of a table are in a store.

    Raises InputError if none is there with a good cutout, or if one is there at another place or with other pixels.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    schema.require(table, "galaxy_id", where=where)
    schema.refuse_nulls(table, "galaxy_id", where=where)
    index = store.index
    at = pc.index_in(table["galaxy_id"].cast(pa.string()), index["galaxy_id"].cast(pa.string()).combine_chunks())
    there = np.asarray(at.is_valid().to_numpy(zero_copy_only=False), bool)
    row = np.asarray(pc.fill_null(at, 0).to_numpy(), np.int64)
    status = np.where(there, np.array(index["status"].take(row).to_pylist(), object), NOT_IN_STORE)
    good = np.asarray(index["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)
    usable = there & good[row]
    left_out = Counter(map(str, status[~usable].tolist()))
    if not usable.any():
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()))
        raise InputError(
            f"{store.path}: has good cutouts of none of the {table.num_rows:,} rows of {where} ({reasons})",
            "name the store that they were scored from",
        )
    found = np.flatnonzero(there)
    here, known = table.take(pa.array(found)), index.take(pa.array(row[found]))
    ids = here["galaxy_id"].to_pylist()
    if {"ra", "dec"} <= set(here.column_names):
        refuse_other_places(ids, here, known, f"{where} and {store.path}")
    if "cutout_sha256" in here.column_names:
        same = pc.fill_null(pc.equal(here["cutout_sha256"].cast(pa.string()), known["cutout_sha256"]), True)
        others = [id for id, alike in zip(ids, same.to_pylist(), strict=True) if not alike]
        if others:
            raise InputError(
                f"{store.path}: {len(others)} cutouts have other pixels than {where} recorded, such as {others[0]}",
                "name the store that they were scored from",
            )
    return _Places(row, usable, left_out)
