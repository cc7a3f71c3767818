"""From a table of galaxies to a store of cutouts, by any source, on this machine or a cluster."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.io.cutouts import npz_folder
from lensctl.io.cutouts.layout import OF_COADDS, Layout
from lensctl.io.cutouts.store import Store
from lensctl.io.imaging.bricks import read_bricks
from lensctl.io.imaging.foretelling import measured_rate
from lensctl.io.imaging.making import MadeStore, ahead, checked, make, part_of
from lensctl.io.imaging.source import BEFORE
from lensctl.io.imaging.sources import PUBLIC_VIEWER, OpenedSource, SourceOptions, open_source
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Step, chain_of, common_survey, extend, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import refuse_same
from lensctl.io.tables.files import read_table
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.errors import InputError, LensctlError, ServiceError
from lensctl.rules.quality import OK
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa


def cutout(
    table: str | Path,
    store: str | Path,
    *,
    source: str | None = None,
    root: str | Path | None = None,
    files: str | None = None,
    zero_point: str | None = None,
    planes: str = "",
    url: str | None = None,
    layer: str | None = None,
    survey: Survey | str | None = None,
    size: int | None = None,
    pixscale: float | None = None,
    connections: int = 8,
    rate: float | None = None,
    timeout: float = 60.0,
    tries: int = 6,
    patience: float = 300.0,
    max_failed: float = 0.01,
    max_empty: float = MAX_EMPTY,
    allow_release: bool = False,
    shard_rows: int = 1024,
    codec: str = "none",
    npz: str | Path | None = None,
    part: str | None = None,
    finish: bool = False,
    engine: str = "local",
    survey_bricks: str | Path | None = None,
    dry_run: bool = False,
    workers: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Cut images of the galaxies in a table into a store; called again, it resumes, and retries transient failures.

    Parameters
    ----------
    table, store : path
        Objects with galaxy_id, ra, dec (`-` is stdin), and the store to write: a folder or `s3://`.
    source : str, optional
        A name of `io.imaging.sources.SOURCES`; default coadd where `root` is given, else viewer.
    root, files, zero_point, url, layer, pixscale
    connections, rate, timeout, tries, patience, allow_release, workers, max_empty
        Of the source: see `SourceOptions`.
    planes : str
        Additional planes of coadds, joined by commas: invvar, maskbits, psfsize.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the table names none.
    size : int, optional
        Side of a cutout in pixels; default the survey's.
    max_failed : float
        Greatest fraction of rows without pixels; the store is made and kept all the same.
    shard_rows, codec
        See `Layout`.
    npz : path, optional
        Also write one .npz per galaxy to this folder.
    part, finish
        `K/N`: make only part K of N of the store; close it once all parts are made.
    engine : str
        local or spark.
    survey_bricks : path, optional
        Brick table, by which a dry run counts rows outside the survey.
    dry_run : bool
        Only say what would be done, and how long it would take at the rate of a few cutouts that are made and not kept.

    Returns
    -------
    Receipt
        With rows, rows cut by this run, and their statuses.

    Raises
    ------
    InputError
        Bad options, table or source, a store of another job, inputs of two surveys.
    LensctlError
        More rows without pixels than `max_failed`.
    """
    table, store = str(table), str(store)
    of_part = _part(part, finish=finish, engine=engine, npz=npz, overwrite=overwrite)
    if npz is not None:
        refuse_same(store, npz)
    objects = read_table(table, format=format)
    chain = chain_of(objects, table)
    of = common_survey(survey, chain)
    rows = checked(objects, "stdin" if table == "-" else table, of)
    extra = dict.fromkeys({"psf": "psfsize"}.get(name, name) for name in planes.replace(" ", "").split(",") if name)
    for plane in extra:
        if plane not in OF_COADDS:
            raise InputError(f"coadds have no plane '{plane}'", f"use {', '.join(OF_COADDS)}")
    side = of.cutout_size_px if size is None else size
    layout = Layout(rows.num_rows, side, of.bands, shard_rows, codec, tuple(extra))
    name = source or ("coadd" if root else "viewer")
    options = SourceOptions(
        None if root is None else str(root),
        files,
        zero_point,
        url or PUBLIC_VIEWER,
        layer,
        pixscale,
        connections,
        rate,
        timeout,
        tries,
        patience,
        allow_release,
        workers,
        max_empty,
    )
    opened = open_source(name, options, layout, of)
    parameters: dict[str, Any] = {"source": name, "size": side, "bands": list(layout.bands), "layer": layer}
    parameters |= {**opened.parameters, "shard_rows": shard_rows, "codec": codec, "max_empty": max_empty}
    inputs = (step_input("table", table, digests.of_table(objects), chain), *opened.inputs)
    whole = extend(Step("cutout", parameters, inputs, survey=of), chain, *opened.chains)
    if dry_run:
        known = read_bricks(str(survey_bricks)) if survey_bricks else None
        counts = {**ahead(rows, opened.source, layout, known), **_foretold(rows, opened, layout, report)}
        report.table("Work to do", ("", "count"), list(counts.items()))
        return {"command": "cutout", "output": store, "dry_run": True, **counts}
    with contextlib.ExitStack() as stack:
        mode: dict[str, Any] = {"overwrite": overwrite, "part": of_part, "make_shards": not finish}
        if engine == "spark":
            from lensctl.io.tables.spark import Cluster

            cluster = stack.enter_context(Cluster())
            cluster.refuse_unseen(store)
            mode["each"] = cluster.each
        show = stack.enter_context(report.progress("cutouts", rows.num_rows))
        failed: Counter[str] = Counter()

        def advance(statuses: Counter[str]) -> None:
            failed.update({status: n for status, n in statuses.items() if status not in (OK, BEFORE)})
            show(statuses.total(), ", ".join(f"{n:,} {status}" for status, n in failed.most_common()))

        result = make(rows, store, opened.source, layout, whole, **mode, advance=advance)
    if result.store is None:
        report.say(f"part {part} of {store} is done; when all are, run the command with --finish instead of --part")
    elif result.cut == 0 and not finish:
        report.say(f"{store} is up to date: nothing to do")
    written = _npz(result.store, npz, whole, workers, overwrite, report) if npz and result.store else None
    _judge(result, store, max_failed, report)
    made = {"rows": rows.num_rows, "cut": result.cut, "status": dict(sorted(result.statuses.items()))}
    made |= {"part": part} if part else {}
    return {"command": "cutout", "output": store, **made, **({"npz": written} if npz else {})}


def _foretold(rows: pa.Table, opened: OpenedSource, layout: Layout, report: Reporter) -> dict[str, Any]:
    """Hours of a run at the rate of a few cutouts made now; without hours where the rate cannot be measured."""
    try:
        rate = measured_rate(opened.source, rows, layout)
    except ServiceError as error:
        report.say(f"hours are not told: {error}")
        return {}
    if rate.per_second is None:
        report.say(f"hours are not told: none of {rate.rows} cutouts tried came with pixels")
        return {}
    per_second = min(rate.per_second * opened.processes, opened.fastest or math.inf)
    report.say(f"hours by the rate of {rate.rows} cutouts made now and not kept; a service may be slower later")
    hours = rows.num_rows / per_second / 3600
    return {"measured_rows": rate.rows, "rows_per_second": round(per_second, 1), "hours": round(hours, 3)}


def _part(
    part: str | None, *, finish: bool, engine: str, npz: str | Path | None, overwrite: bool
) -> tuple[int, int] | None:
    """K and N of --part K/N; InputError if malformed or incompatible with other options."""
    if engine not in ("local", "spark"):
        raise InputError(f"no engine '{engine}'", "use local or spark")
    if part is None:
        return None
    if finish or engine == "spark" or npz or overwrite:
        raise InputError(
            "--part cannot be combined with --finish, --npz, --overwrite or --engine spark",
            "make the parts, then run the command with --finish (and --npz) instead of --part",
        )
    return part_of(part)


def _npz(store: Store, folder: str | Path, chain: Chain, workers: int | None, overwrite: bool, report: Reporter) -> int:
    with report.progress(".npz files", store.n) as advance:
        return npz_folder.write(store, folder, chain, processes=workers, overwrite=overwrite, advance=advance)


def _judge(result: MadeStore, store: str, max_failed: float, report: Reporter) -> None:
    """Show the statuses of the rows; LensctlError if too many have no pixels."""
    rows = sum(result.statuses.values())
    if len(result.statuses) > 1 or OK not in result.statuses:
        fractions = [(status, count, count / rows) for status, count in result.statuses.most_common()]
        report.table("Cutouts", ("status", "rows", "fraction"), fractions)
    if not result.without_pixels <= max_failed * rows:
        raise LensctlError(
            f"{result.without_pixels} of {rows} cutouts failed, more than --max-failed {max_failed:g}",
            f"see status and error in {store}/index.parquet; rerun the command to retry transient failures",
        )
