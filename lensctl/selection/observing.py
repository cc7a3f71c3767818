"""`lensctl selection observe`: what can be seen of arcs in scored cutouts, real or injected."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensctl.injection import observables
from lensctl.io import workers as processes
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.tables.files import read_table, refuse_rows, refuse_tables, write_table
from lensctl.rules import schema
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]

BLOCK_ROWS = 256
"""Cutouts read together."""


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
    """Add observables of arcs (`obs_*`) and of the pixels (`art_*`) to scored cutouts; see `observables.observe`.

    Parameters
    ----------
    scores, store, output : path
        Table with `galaxy_id`, `-` is stdin; store with the cutout of every row; table to write, `-` is stdout.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the inputs name none.
    check_pixels : bool
        Compare the pixels with the recorded `cutout_sha256`.
    workers : int, optional
        Processes; one per core if not given. The result does not depend on it. Beside the tables each holds 256
        cutouts.

    Returns
    -------
    Receipt
        With rows, and rows observed.

    Raises
    ------
    InputError
        Rows that are not in the store, or of other pixels; no psfsize; cutouts that are too small, or of another
        survey's bands; a table that is observed already; an existing output.
    """
    scores, store, output = str(scores), str(store), str(output)
    refuse_tables(output, overwrite=overwrite, format=format)
    table = read_table(scores, format=format if scores == "-" else None)
    where = "stdin" if scores == "-" else scores
    schema.require(table, "galaxy_id", where=where)
    opened = open_store(store)
    opened.refuse_other_survey()
    chain = chain_of(table, scores)
    of = common_survey(survey, chain, opened.chain)
    observables.refuse_unfit(opened.size, opened.bands, of, store)
    refuse_observed(table, where, of)
    index = opened.index
    places = places_of(table, index, where, store)
    psfsize = psfsize_of(table, index.take(places), where, of)
    usable = np.asarray(index["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)[places]
    _refuse_bad_psfsize(psfsize, usable, table["galaxy_id"].to_pylist(), where, of)
    refuse_rows(table, output, format)
    found = {name: np.full(table.num_rows, np.nan) for name in observables.names(of)}
    blocks = [np.flatnonzero(usable)[start : start + BLOCK_ROWS] for start in range(0, int(usable.sum()), BLOCK_ROWS)]
    job = functools.partial(_block, opened, of, places, psfsize, check_pixels)
    with report.progress("cutouts observed", table.num_rows) as advance:
        advance(int((~usable).sum()))
        for rows, columns in processes.each(job, blocks, workers):
            for name, values in columns.items():
                found[name][rows] = values
            advance(len(rows))
    for name, values in observables.arrays_of(found, usable).items():
        table = table.append_column(name, values)
    inputs = (
        step_input("scores", scores, digests.of_table(table.select(table.column_names[: -len(found)])), chain),
        step_input("cutouts", store, opened.digest, opened.chain),
    )
    step = Step("selection observe", {}, inputs, survey=of)
    write_table(stamp(table, extend(step, chain, opened.chain)), output, overwrite=overwrite, format=format)
    return {
        "command": "selection",
        "action": "observe",
        "output": output,
        "rows": table.num_rows,
        "observed": int(usable.sum()),
    }


def _block(
    store: Store, survey: Survey, places: NDArray[np.int64], psfsize: Floats, check: bool, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    return rows, observables.observe(store.read(places[rows], check=check), psfsize[rows], survey)


def refuse_observed(table: pa.Table | pa.Schema, where: str, survey: Survey) -> None:
    """Raise InputError for a table that has a column of those that are added."""
    names = set(table.schema.names if hasattr(table, "num_rows") else table.names)
    taken = [name for name in observables.names(survey) if name in names]
    if taken:
        raise InputError(f"{where} already has a column '{taken[0]}'", "observe the scores, not what was observed")


def places_of(table: pa.Table, index: pa.Table, where: str, store: str) -> NDArray[np.int64]:
    """Row of a store for each row of a table, by galaxy_id: (N,).

    Raises
    ------
    InputError
        Rows that the store lacks, or whose recorded pixels are others.
    """
    import pyarrow.compute as pc

    found = pc.index_in(table["galaxy_id"], value_set=index["galaxy_id"].combine_chunks())
    lacking = found.is_null().to_numpy()
    ids = table["galaxy_id"]
    if lacking.any():
        first = ids[int(np.argmax(lacking))].as_py()
        raise InputError(
            f"{store}: {int(lacking.sum())} of {len(ids)} rows of {where} have no cutout, such as {first}",
            "name the store they were scored on, or leave the others out",
        )
    places = np.asarray(found.to_numpy(), np.int64)
    if "cutout_sha256" in table.column_names:
        recorded, own = table["cutout_sha256"].to_pylist(), index["cutout_sha256"].take(places).to_pylist()
        other = [i for i, (a, b) in enumerate(zip(recorded, own, strict=True)) if a and b and a != b]
        if other:
            first = ids[other[0]].as_py()
            raise InputError(
                f"{store}: {len(other)} rows of {where} were scored on other pixels, such as {first}",
                "name the store they were scored on",
            )
    return places


def psfsize_of(table: pa.Table, index: pa.Table, where: str, survey: Survey) -> Floats:
    """psfsize of each row in each band, of the table or else of its rows of the store's index: (N, B) arcsec."""
    import pyarrow as pa

    columns = []
    for band in survey.bands:
        name = f"psfsize_{band}"
        places = ((table, name), (index, name), (index, f"meta_{name}"))
        found = next((one[column] for one, column in places if column in one.column_names), None)
        if found is None:
            raise InputError(
                f"{where}: no {name}, neither there nor in the index of the store",
                "score a manifest whose positives have psfsize in every band",
            )
        try:
            columns.append(np.asarray(found.cast(pa.float64()).to_numpy(), np.float64))
        except pa.ArrowException as error:
            raise InputError(f"{where}: {name} is {found.type}, not a number", "store it as a number") from error
    return np.stack(columns, axis=1)


def _refuse_bad_psfsize(psfsize: Floats, usable: NDArray[np.bool_], ids: list[str], where: str, survey: Survey) -> None:
    wrong = usable[:, None] & ~((psfsize > 0) & np.isfinite(psfsize))
    for b, band in enumerate(survey.bands):
        if wrong[:, b].any():
            first = ids[int(np.argmax(wrong[:, b]))]
            raise InputError(
                f"{where}: psfsize_{band} is missing, 0 or NaN for {int(wrong[:, b].sum())} of {len(ids)} rows, "
                f"such as {first}",
                "leave these rows out",
            )
