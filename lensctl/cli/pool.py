"""`lensctl pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, Lenses, Output, Overwrite, Survey, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lensctl.io.provenance.steps import Input
    from lensctl.pool.criteria import Criteria
    from lensctl.pool.funnel import Funnel
    from lensctl.pool.parts import Part
    from lensctl.rules.survey import Survey as SurveyValue


@command("pool", TABLES)
def pool(
    sweeps: Annotated[list[str], typer.Argument(metavar="SWEEP...", help="Sweep or Tractor files, FITS or parquet.")],
    output: Output,
    lenses: Lenses,
    survey: Survey = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Criteria to start from: plan (the default) or paper4.", show_default=False),
    ] = None,
    min_nobs: Annotated[
        list[str],
        typer.Option(metavar="BAND=N", help="Minimum exposures in a band; repeatable.", show_default=False),
    ] = [],  # noqa: B006
    max_mag: Annotated[
        list[str],
        typer.Option(
            metavar="BAND=MAG", help="Only rows brighter than this in a band; repeatable.", show_default=False
        ),
    ] = [],  # noqa: B006
    criterion: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=EXPR",
            help="Further criterion, such as ebv='ebv < 0.1'; repeatable. It replaces one of that name.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    min_nobs_g: Annotated[int | None, typer.Option(min=0, hidden=True)] = None,
    min_nobs_r: Annotated[int | None, typer.Option(min=0, hidden=True)] = None,
    min_nobs_z: Annotated[int | None, typer.Option(min=0, hidden=True)] = None,
    max_mag_z: Annotated[float | None, typer.Option(hidden=True)] = None,
    exclude_arcsec: Annotated[
        float | None,
        typer.Option(min=0, help="Minimum distance from every lens; default the survey's (11).", show_default=False),
    ] = None,
    partition_by: Annotated[
        list[str],
        typer.Option(
            metavar="COLUMN",
            help="Write OUTPUT as a folder COLUMN=value/part-*.parquet: split, pool, type, nobs_z_bin; repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    skip_bad: Annotated[int, typer.Option(min=0, help="Number of unreadable files that may be skipped.")] = 0,
    engine: Annotated[
        str, typer.Option(help="local or spark; with spark OUTPUT is a folder, with one or more files per sweep.")
    ] = "local",
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Make the pool of negatives from sweeps or Tractor files.

    Rows that meet the criteria and lie far from every lens get their pool (N1, or N2 with a confuser class), bins,
    HEALPix pixels and split. Rerun the command to resume an interrupted run; for output on S3, partial work is kept in
    lensctl/ in the cache folder (XDG_CACHE_HOME, else ~/.cache).

    Example: lensctl pool 'sky/south/sweep/10.0/*.fits' pool.parquet --lenses sky/lenses.csv
    """
    import contextlib
    import tempfile
    from pathlib import Path

    from lensctl.io.provenance.steps import Step, common_survey, extend
    from lensctl.io.storage import resumable
    from lensctl.io.tables import lens_catalogs
    from lensctl.io.tables import sweeps as catalogs
    from lensctl.io.tables.files import chain_at, made_by
    from lensctl.io.tables.paths import format_of
    from lensctl.pool.criteria import criteria_of
    from lensctl.pool.funnel import Funnel
    from lensctl.pool.output import is_alike, put, workplace_of, written
    from lensctl.pool.parts import in_order, repeated_between, select_all
    from lensctl.rules.errors import InputError

    of = common_survey(survey)
    least = {"g": min_nobs_g, "r": min_nobs_r, "z": min_nobs_z}
    criteria = criteria_of(
        of,
        preset,
        min_nobs={band: n for band, n in least.items() if n is not None} | _by_band("--min-nobs", min_nobs, int),
        max_mag=({} if max_mag_z is None else {"z": max_mag_z}) | _by_band("--max-mag", max_mag, float),
        others=criterion,
        exclude_arcsec=exclude_arcsec,
    )
    kind = format_of(output, format)
    _refuse_partitions(partition_by, output, kind, of)
    if not lenses:
        raise InputError("no lens catalogue is given", "add --lenses CATALOG, once per catalogue")
    files = catalogs.catalog_files(sweeps)
    if of.columns:
        criteria = criteria.on(catalogs.columns_of(files[0], of))
        for text in criteria.not_applied:
            report.say(f"not applied: {text}")
    ra, dec, sources = lens_catalogs.positions(lenses)
    parameters = {"preset": preset or next(iter(of.criteria)), **criteria.as_parameters(), "partition_by": partition_by}
    if engine != "local":
        _by_spark(engine, files, output, kind, criteria, (ra, dec), parameters, sources, skip_bad, overwrite)
        return
    begun = Step("pool", parameters, (catalogs.stamped_input(files), *sources), survey=of)
    if is_alike(chain_at(output), begun):
        digests = catalogs.digests_of(files, workers)
        done = Step("pool", parameters, (catalogs.catalog_input(files, digests), *sources), survey=of)
        if made_by(output, done.id):
            report.say(f"{output} is up to date: nothing to do")
            report.receipt("pool", output, files=len(files))
            return
    with contextlib.ExitStack() as stack:
        job = None
        if output != "-":
            place = workplace_of(output, begun.id, overwrite, bool(partition_by))
            job = stack.enter_context(resumable.job(place, begun.as_dict(), overwrite=overwrite))
        folder = job.built if job else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        target = str(job.folder / "made") if job else output
        funnel, parts = Funnel(), list["Part"]()
        try:
            with report.progress("catalogue files", len(files)) as advance:
                chosen = select_all(files, folder, criteria, ra, dec, count=workers)
                counted = _counted(in_order(_advancing(chosen, advance), files), funnel, parts)
                finish = written(counted, target, partition_by, kind)
            _show(funnel, criteria)
            _refuse(funnel, len(files), skip_bad)
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
    _receipt(output, funnel, len(files), criteria)


def _by_band(option: str, texts: list[str], number: type[int] | type[float]) -> dict[str, Any]:
    """Numbers by band from `BAND=N` texts; InputError for anything else."""
    from lensctl.rules.errors import InputError

    found = {}
    for text in texts:
        band, _, value = text.partition("=")
        try:
            found[band.strip()] = number(value)
        except ValueError as error:
            raise InputError(f"{option} {text} is not BAND=NUMBER", f"write it as {option} z=3") from error
    return found


def _receipt(output: str, funnel: Funnel, files: int, criteria: Criteria) -> None:
    """Report the pool to people and programs."""
    from lensctl.gates import registry
    from lensctl.pool.funnel import classes, validation

    limits = registry.settings_for([registry.find("pool")], [], criteria.survey)["pool"]
    report.table("Validation", ("metric", "value", "target", "met"), validation(funnel, limits))
    report.table("Classes", ("column", "value", "rows", "%"), classes(funnel))
    facts = {"not_applied": list(criteria.not_applied)} if criteria.not_applied else {}
    report.receipt("pool", output, files=files, bad=len(funnel.bad), read=funnel.read, rows=funnel.kept, **facts)


def _by_spark(
    engine: str,
    files: list[str],
    output: str,
    kind: str,
    criteria: Criteria,
    lenses: tuple[Any, Any],
    parameters: dict[str, Any],
    sources: tuple[Input, ...],
    skip_bad: int,
    overwrite: bool,
) -> None:
    """Make the pool on a cluster; only the funnels come back to this machine."""
    from lensctl.io.provenance.steps import Step, extend
    from lensctl.io.storage.growing_folders import begin_folder
    from lensctl.io.tables import sweeps as catalogs
    from lensctl.io.tables.files import made_by
    from lensctl.io.tables.spark import Cluster
    from lensctl.pool.funnel import Funnel
    from lensctl.pool.growing_pool import PoolWriter
    from lensctl.rules.errors import InputError

    if engine != "spark":
        raise InputError(f"no engine '{engine}'", "use local or spark")
    if kind != "parquet":
        raise InputError(f"{output}: Spark writes a folder of parquet files", "name a folder, preferably on s3://")
    with Cluster() as cluster:
        for path in (output, *files[:1]):
            cluster.refuse_unseen(path)
        digests = cluster.each(catalogs.digest, files)
        inputs = (catalogs.catalog_input(files, digests), *sources)
        step = Step("pool", parameters, inputs, survey=criteria.survey)
        chain = extend(step)
        if made_by(output, step.id):
            report.say(f"{output} is up to date: nothing to do")
            report.receipt("pool", output, files=len(files))
            return
        with begin_folder(output, step.as_dict(), overwrite=overwrite, afresh=overwrite) as place:
            part = PoolWriter(place, criteria, *lenses, tuple(parameters["partition_by"]), chain)
            funnel = Funnel()
            for one in cluster.each(part, enumerate(files)):
                funnel.add(one)
            _show(funnel, criteria)
            _refuse(funnel, len(files), skip_bad)
            place.finish()
        cluster.scan("made", output, ("galaxy_id",))
        counted = cluster.query("SELECT count(*) - count(DISTINCT galaxy_id) AS repeated FROM made")
        funnel.repeated = counted["repeated"][0].as_py()
    _receipt(output, funnel, len(files), criteria)


def _refuse_partitions(names: list[str], output: str, kind: str, survey: SurveyValue) -> None:
    """Raise InputError if the pool cannot be partitioned by these columns."""
    from lensctl.pool.growing_pool import partitions
    from lensctl.rules.config import nearest
    from lensctl.rules.errors import InputError

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


def _refuse(funnel: Funnel, files: int, skip_bad: int) -> None:
    """Raise InputError if too many files are bad, or no row is kept."""
    from lensctl.rules.errors import InputError

    if len(funnel.bad) > skip_bad:
        first = next(iter(funnel.bad.values()))
        raise InputError(f"{len(funnel.bad)} of {files} files are bad, first {first}", "repair them, or leave them out")
    if not funnel.kept:
        raise InputError("no catalogue row meets the criteria", "the funnel above shows which criteria removed them")


def _show(funnel: Funnel, criteria: Criteria) -> None:
    """Print the funnel: rows read, removed by each criterion, and remaining; and the bad files."""
    remaining = funnel.read
    rows: list[tuple[str, int, int]] = [("read", 0, remaining)]
    for name, removed in funnel.lost.items():
        remaining -= removed
        rows.append((name, removed, remaining))
    skipped = [(f"not applied: {text}", 0, remaining) for text in criteria.not_applied]
    report.table("Funnel", ("criterion", "removed", "remaining"), [*rows, *skipped, ("kept", 0, funnel.kept)])
    for message in funnel.bad.values():
        report.say(f"bad file: {message}")
