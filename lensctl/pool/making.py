"""From sweeps and lens catalogues to the pool of negatives, on this machine or a cluster."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lensctl.astro.lens_units import DEGREES, Lenses, refuse_other_units
from lensctl.io.paths import Paths, listed
from lensctl.io.provenance.steps import Input, Step, common_survey, extend, is_alike
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage import resumable, web
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.io.tables import lens_catalogs
from lensctl.io.tables import sweeps as catalogs
from lensctl.io.tables.criteria import Criteria, criteria_of
from lensctl.io.tables.files import chain_at, made_by, output_format
from lensctl.io.temporary import temporary_folder
from lensctl.pool.funnel import Funnel, classes, validation
from lensctl.pool.growing_pool import PoolWriter, partitions
from lensctl.pool.output import put, workplace_of, written
from lensctl.pool.parts import Part, in_order, repeated_between, select_all
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey


def pool(
    sweeps: Paths,
    output: str | Path,
    *,
    lenses: Paths,
    survey: Survey | str | None = None,
    preset: str | None = None,
    min_nobs: Mapping[str, int] | None = None,
    max_mag: Mapping[str, float] | None = None,
    criterion: Sequence[str] = (),
    exclude_arcsec: float | None = None,
    partition_by: Sequence[str] = (),
    skip_bad: int = 0,
    downloads: str | Path | None = None,
    engine: str = "local",
    workers: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Make the pool of negatives from sweeps or Tractor files; called again, it resumes an interrupted run.

    Parameters
    ----------
    sweeps : path or paths
        Sweep or Tractor files, FITS or another table format, on disk, S3 or a web server; globs are allowed but there.
    output : path
        Table or, with `partition_by` or Spark, folder to write; `-` is stdout.
    lenses : path or paths
        Lens catalogues to stay away from.
    survey : Survey or str, optional
        The survey, its name or its YAML file; default ls-dr10.
    preset, min_nobs, max_mag, criterion, exclude_arcsec
        The criteria: see `criteria.criteria_of`.
    partition_by : sequence of str
        Columns of a folder COLUMN=value.
    skip_bad : int
        Unreadable files that may be skipped.
    downloads : path, optional
        Folder that keeps files from web servers, for the next command or run.
    engine : str
        local or spark.
    workers : int, optional
        Processes; default one per core.

    Returns
    -------
    Receipt
        With files, rows read and kept, and criteria not applied.

    Raises
    ------
    InputError
        Bad options or files, no row that meets the criteria, lenses in another unit than degrees, an existing output of
        another job.
    """
    output, partition_by = str(output), list(partition_by)
    of = common_survey(survey)
    criteria = criteria_of(
        of, preset, min_nobs=min_nobs, max_mag=max_mag, others=criterion, exclude_arcsec=exclude_arcsec
    )
    kind = output_format(output, format)
    _refuse_partitions(partition_by, output, kind, of)
    catalogues = listed(lenses)
    if not catalogues:
        raise InputError("no lens catalogue is given", "add --lenses CATALOG, once per catalogue")
    files = catalogs.catalog_files(listed(sweeps), downloads, report)
    if of.columns:
        criteria = criteria.on(catalogs.columns_of(files[0], of))
        for text in criteria.not_applied:
            report.say(f"not applied: {text}")
    avoided, sources = lens_catalogs.positions(catalogues)
    parameters = {
        "preset": preset or next(iter(of.criteria)),
        **criteria.as_parameters(),
        "partition_by": list(partition_by),
    }
    if engine != "local":
        return _by_spark(
            engine, files, output, kind, criteria, avoided, parameters, sources, skip_bad, overwrite, report
        )
    begun = Step("pool", parameters, (catalogs.stamped_input(files), *sources), survey=of)
    if is_alike(chain_at(output), begun):
        digests = catalogs.digests_of(files, web.processes(files, workers))
        done = Step("pool", parameters, (catalogs.catalog_input(files, digests), *sources), survey=of)
        if made_by(output, done.id):
            report.say(f"{output} is up to date: nothing to do")
            return {"command": "pool", "output": output, "files": len(files)}
    with contextlib.ExitStack() as stack:
        job = None
        if output != "-":
            place = workplace_of(output, begun.id, overwrite, bool(partition_by))
            job = stack.enter_context(resumable.job(place, begun.as_dict(), overwrite=overwrite))
        folder = job.built if job else stack.enter_context(temporary_folder("pool"))
        target = str(job.folder / "made") if job else output
        funnel, parts = Funnel(), list[Part]()
        try:
            with report.progress("catalogue files", len(files)) as advance:
                chosen = select_all(files, folder, criteria, avoided, count=web.processes(files, workers))
                counted = _counted(in_order(_advancing(chosen, advance), files), funnel, parts)
                finish = written(counted, target, partition_by, kind)
            _show(funnel, criteria, avoided, report)
            _refuse(funnel, len(files), skip_bad, avoided)
        except InputError:
            if job and not any(folder.iterdir()):
                job.abandon()
            raise
        digests = [part.digest or catalogs.digest(part.file) for part in parts]
        step = Step("pool", parameters, (catalogs.catalog_input(files, digests), *sources), survey=of)
        finish(extend(step))
        funnel.repeated += repeated_between(parts)
        if job:
            put(job, Path(target), output, begun.id, overwrite)
    return _receipt(output, funnel, len(files), criteria, report)


def _receipt(output: str, funnel: Funnel, files: int, criteria: Criteria, report: Reporter) -> Receipt:
    """Show the validation of a pool, and count what is in it."""
    report.table("Validation", ("metric", "value", "target", "met"), validation(funnel, criteria.survey))
    report.table("Classes", ("column", "value", "rows", "%"), classes(funnel))
    made = {"files": files, "bad": len(funnel.bad), "read": funnel.read, "rows": funnel.kept}
    skipped = {"not_applied": list(criteria.not_applied)} if criteria.not_applied else {}
    return {"command": "pool", "output": output, **made, **skipped}


def _by_spark(
    engine: str,
    files: list[str],
    output: str,
    kind: str,
    criteria: Criteria,
    lenses: Lenses,
    parameters: dict[str, Any],
    sources: tuple[Input, ...],
    skip_bad: int,
    overwrite: bool,
    report: Reporter,
) -> Receipt:
    """Make the pool on a cluster; only the funnels come back to this machine."""
    if engine != "spark":
        raise InputError(f"no engine '{engine}'", "use local or spark")
    if kind != "parquet":
        raise InputError(f"{output}: Spark writes a folder of parquet files", "name a folder, preferably on s3://")
    from lensctl.io.tables.spark import Cluster

    with Cluster() as cluster:
        for path in (output, *files[:1]):
            cluster.refuse_unseen(path)
        digests = cluster.each(catalogs.digest, files)
        inputs = (catalogs.catalog_input(files, digests), *sources)
        step = Step("pool", parameters, inputs, survey=criteria.survey)
        chain = extend(step)
        if made_by(output, step.id):
            report.say(f"{output} is up to date: nothing to do")
            return {"command": "pool", "output": output, "files": len(files)}
        with begin_folder(output, step.as_dict(), overwrite=overwrite, afresh=overwrite) as place:
            part = PoolWriter(place, criteria, lenses, tuple(parameters["partition_by"]), chain)
            funnel = Funnel()
            for one in cluster.each(part, enumerate(files)):
                funnel.add(one)
            _show(funnel, criteria, lenses, report)
            _refuse(funnel, len(files), skip_bad, lenses)
            place.finish()
        cluster.scan("made", output, ("galaxy_id",))
        counted = cluster.query("SELECT count(*) - count(DISTINCT galaxy_id) AS repeated FROM made")
        funnel.repeated = counted["repeated"][0].as_py()
    return _receipt(output, funnel, len(files), criteria, report)


def _refuse_partitions(names: list[str], output: str, kind: str, survey: Survey) -> None:
    """Raise InputError if the pool cannot be partitioned by these columns."""
    known = partitions(survey)
    for name in names:
        if name not in known:
            raise InputError(f"cannot partition by '{name}'{nearest(name, known)}", f"use {', '.join(known)}")
    if len(set(names)) < len(names):
        raise InputError("--partition-by names a column twice", "name each once")
    if names and (output == "-" or kind != "parquet"):
        raise InputError(f"{output} cannot be a folder of parquet files", "leave out --partition-by, or name a folder")


def _advancing(parts: Iterable[Part], advance: Callable[[int], None]) -> Iterator[Part]:
    for part in parts:
        advance(1)
        yield part


def _counted(parts: Iterable[Part], funnel: Funnel, seen: list[Part]) -> Iterator[Part]:
    for part in parts:
        funnel.add(part.funnel)
        seen.append(part)
        yield part


def _refuse(funnel: Funnel, files: int, skip_bad: int, lenses: Lenses) -> None:
    """Raise InputError if too many files are bad, no row is kept, or lenses are not in degrees."""
    if len(funnel.bad) > skip_bad:
        first = next(iter(funnel.bad.values()))
        raise InputError(f"{len(funnel.bad)} of {files} files are bad, first {first}", "repair them, or leave them out")
    if not funnel.kept:
        raise InputError("no catalogue row meets the criteria", "the funnel above shows which criteria removed them")
    refuse_other_units(funnel.in_units, lenses)


def _show(funnel: Funnel, criteria: Criteria, lenses: Lenses, report: Reporter) -> None:
    """Print the funnel: rows read, removed by each criterion, and remaining; bad files; lenses near nothing."""
    remaining = funnel.read
    rows: list[tuple[str, int, int]] = [("read", 0, remaining)]
    for name, removed in funnel.lost.items():
        remaining -= removed
        rows.append((name, removed, remaining))
    skipped = [(f"not applied: {text}", 0, remaining) for text in criteria.not_applied]
    report.table("Funnel", ("criterion", "removed", "remaining"), [*rows, *skipped, ("kept", 0, funnel.kept)])
    for message in funnel.bad.values():
        report.say(f"bad file: {message}")
    near = funnel.in_units.get(DEGREES, Counter())
    for number, (name, (ra, _)) in enumerate(zip(lenses.names, lenses.places, strict=True)):
        if len(ra) and funnel.kept and not near[str(number)]:
            report.say(
                f"warning: of {funnel.kept:,} rows none lies within {criteria.exclude_arcsec:g} arcsec of any of the "
                f"{len(ra):,} lenses of {name}: do the catalogues cover the same sky, both in degrees?"
            )
