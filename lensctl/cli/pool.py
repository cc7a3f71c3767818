"""`lensctl pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, Lenses, Output, Overwrite, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from lensctl.io.provenance.steps import Chain, Input, Step
    from lensctl.io.storage.resumable import Job
    from lensctl.pool.criteria import Criteria
    from lensctl.pool.funnel import Funnel
    from lensctl.pool.parts import Part


@command("pool", TABLES)
def pool(
    sweeps: Annotated[list[str], typer.Argument(metavar="SWEEP...", help="Sweep or Tractor files, FITS or parquet.")],
    output: Output,
    lenses: Lenses,
    preset: Annotated[str, typer.Option(help="Criteria to start from: plan (the defaults) or paper4.")] = "plan",
    min_nobs_g: Annotated[int | None, typer.Option(min=0, help="Minimum exposures in g.", show_default=False)] = None,
    min_nobs_r: Annotated[int | None, typer.Option(min=0, help="Minimum exposures in r.", show_default=False)] = None,
    min_nobs_z: Annotated[int | None, typer.Option(min=0, help="Minimum exposures in z.", show_default=False)] = None,
    max_mag_z: Annotated[
        float | None, typer.Option(help="Only rows brighter than this in z.", show_default=False)
    ] = None,
    exclude_arcsec: Annotated[
        float | None, typer.Option(min=0, help="Minimum distance from every lens (11).", show_default=False)
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
    import dataclasses
    import tempfile
    from pathlib import Path

    from lensctl.io.provenance.steps import Step, extend
    from lensctl.io.storage import resumable
    from lensctl.io.tables import lens_catalogs
    from lensctl.io.tables import sweeps as catalogs
    from lensctl.io.tables.files import chain_at, made_by
    from lensctl.io.tables.paths import format_of
    from lensctl.pool.criteria import PRESETS
    from lensctl.pool.funnel import Funnel
    from lensctl.pool.parts import in_order, repeated_between, select_all
    from lensctl.rules.config import nearest
    from lensctl.rules.errors import InputError

    if preset not in PRESETS:
        raise InputError(f"no preset '{preset}'{nearest(preset, PRESETS)}", f"use {' or '.join(PRESETS)}")
    given = {
        "min_nobs_g": min_nobs_g,
        "min_nobs_r": min_nobs_r,
        "min_nobs_z": min_nobs_z,
        "max_mag_z": max_mag_z,
        "exclude_arcsec": exclude_arcsec,
    }
    criteria = dataclasses.replace(PRESETS[preset], **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    kind = format_of(output, format)
    _refuse_partitions(partition_by, output, kind)
    if not lenses:
        raise InputError("no lens catalogue is given", "add --lenses CATALOG, once per catalogue")
    files = catalogs.catalog_files(sweeps)
    ra, dec, sources = lens_catalogs.positions(lenses)
    parameters = {"preset": preset, **dataclasses.asdict(criteria), "partition_by": partition_by}
    if engine != "local":
        _by_spark(engine, files, output, kind, criteria, (ra, dec), parameters, sources, skip_bad, overwrite)
        return
    begun = Step("pool", parameters, (catalogs.stamped_input(files), *sources))
    if _is_alike(chain_at(output), begun):
        digests = catalogs.digests_of(files, workers)
        done = Step("pool", parameters, (catalogs.catalog_input(files, digests), *sources))
        if made_by(output, done.id):
            report.say(f"{output} is up to date: nothing to do")
            report.receipt("pool", output, files=len(files))
            return
    with contextlib.ExitStack() as stack:
        job = None
        if output != "-":
            place = _place(output, begun.id, overwrite, bool(partition_by))
            job = stack.enter_context(resumable.job(place, begun.as_dict(), overwrite=overwrite))
        folder = job.built if job else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        target = str(job.folder / "made") if job else output
        funnel, parts = Funnel(), list["Part"]()
        try:
            with report.progress("catalogue files", len(files)) as advance:
                chosen = select_all(files, folder, criteria, ra, dec, count=workers)
                counted = _counted(in_order(_advancing(chosen, advance), files), funnel, parts)
                finish = _written(counted, target, partition_by, kind)
            _show(funnel)
            _refuse(funnel, len(files), skip_bad)
        except InputError:
            if job and not any(folder.iterdir()):
                job.abandon()
            raise
        digests = [part.digest or catalogs.digest(part.file) for part in parts]
        step = Step("pool", parameters, (catalogs.catalog_input(files, digests), *sources))
        finish(extend(step))
        funnel.repeated += repeated_between(parts)
        if job:
            _put(job, Path(target), output, begun.id, overwrite)
    _receipt(output, funnel, len(files))


def _receipt(output: str, funnel: Funnel, files: int) -> None:
    """Report the pool to people and programs."""
    from lensctl.gates.pool import Settings
    from lensctl.pool.funnel import classes, validation

    report.table("Validation", ("metric", "value", "target", "met"), validation(funnel, Settings()))
    report.table("Classes", ("column", "value", "rows", "%"), classes(funnel))
    report.receipt("pool", output, files=files, bad=len(funnel.bad), read=funnel.read, rows=funnel.kept)


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
        step = Step("pool", parameters, (catalogs.catalog_input(files, digests), *sources))
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
            _show(funnel)
            _refuse(funnel, len(files), skip_bad)
            place.finish()
        cluster.scan("made", output, ("galaxy_id",))
        counted = cluster.query("SELECT count(*) - count(DISTINCT galaxy_id) AS repeated FROM made")
        funnel.repeated = counted["repeated"][0].as_py()
    _receipt(output, funnel, len(files))


def _refuse_partitions(names: list[str], output: str, kind: str) -> None:
    """Raise InputError if the pool cannot be partitioned by these columns."""
    from lensctl.pool.growing_pool import PARTITIONS
    from lensctl.rules.config import nearest
    from lensctl.rules.errors import InputError

    for name in names:
        if name not in PARTITIONS:
            raise InputError(f"cannot partition by '{name}'{nearest(name, PARTITIONS)}", f"use {', '.join(PARTITIONS)}")
    if len(set(names)) < len(names):
        raise InputError("--partition-by names a column twice", "name each once")
    if names and (output == "-" or kind != "parquet"):
        raise InputError(f"{output} cannot be a folder of parquet files", "leave out --partition-by, or name a folder")


def _is_alike(chain: Chain, begun: Step) -> bool:
    """Whether the existing output was made by the same command, judged without reading the catalogue files."""
    import json

    def comparable(step: Step) -> str:
        fields = step.as_dict()
        fields["inputs"] = [(i.role, i.name) for i in step.inputs[:1]], [vars(i) for i in step.inputs[1:]]
        return json.dumps(fields, sort_keys=True)

    return bool(chain) and comparable(chain[-1]) == comparable(begun)


def _place(output: str, by: str, overwrite: bool, folder: bool) -> str | Path:
    """Where the output is built: in place on disk, in the cache for S3; InputError if it exists."""
    from lensctl.io.storage import resumable
    from lensctl.io.storage.atomic import refuse_existing
    from lensctl.io.storage.incomplete import refuse_existing_folder
    from lensctl.io.storage.s3 import is_s3

    if not is_s3(output):
        return output
    if folder:
        refuse_existing_folder(output, by, overwrite)
    else:
        refuse_existing(output, overwrite)
    return resumable.workplace(output)


def _put(job: Job, made: Path, output: str, by: str, overwrite: bool) -> None:
    """Move the output to its destination and remove the work folder."""
    from lensctl.io.storage import s3
    from lensctl.io.storage.incomplete import upload_folder
    from lensctl.io.storage.s3 import is_s3

    if not is_s3(output):
        job.finish(made)
        return
    if made.is_dir():
        upload_folder(made, output, by, overwrite)
    else:
        s3.upload(made, output)
    job.abandon()


def _advancing(parts: Iterable[Part], advance: Callable[[int], None]) -> Iterator[Part]:
    for part in parts:
        advance(1)
        yield part


def _counted(parts: Iterable[Part], funnel: Funnel, seen: list[Part]) -> Iterator[Part]:
    for part in parts:
        funnel.add(part.funnel)
        seen.append(part)
        yield part


def _written(parts: Iterable[Part], target: str, partition_by: list[str], kind: str) -> Callable[[Chain], None]:
    """Collect the parts as they arrive; returns a function that finishes the output once its provenance is known.

    Parquet is written immediately; other formats, which hold provenance at their start, once all parts are ready.
    """
    import shutil
    from pathlib import Path

    from lensctl.io.provenance.steps import stamp
    from lensctl.io.tables import partitioned
    from lensctl.io.tables.files import write_batches
    from lensctl.pool.parts import batches

    if kind != "parquet" or target == "-":
        waiting = list(parts)

        def write(chain: Chain) -> None:
            schema = next(batch.schema for part in waiting for batch in batches(part))
            stamped = stamp(schema.empty_table(), chain).schema
            rows = (batch.replace_schema_metadata(stamped.metadata) for part in waiting for batch in batches(part))
            write_batches(stamped, rows, target, overwrite=True, format=kind)

        return write
    path, writer = Path(target), None
    if path.is_dir():
        shutil.rmtree(path)
    for part in parts:
        for batch in batches(part):
            writer = writer or partitioned.Writer(path, batch.schema, partition_by)
            writer.write(batch)
    return writer.close if writer else lambda chain: None


def _refuse(funnel: Funnel, files: int, skip_bad: int) -> None:
    """Raise InputError if too many files are bad, or no row is kept."""
    from lensctl.rules.errors import InputError

    if len(funnel.bad) > skip_bad:
        first = next(iter(funnel.bad.values()))
        raise InputError(f"{len(funnel.bad)} of {files} files are bad, first {first}", "repair them, or leave them out")
    if not funnel.kept:
        raise InputError("no catalogue row meets the criteria", "the funnel above shows which criteria removed them")


def _show(funnel: Funnel) -> None:
    """Print the funnel: rows read, removed by each criterion, and remaining; and the bad files."""
    remaining = funnel.read
    rows: list[tuple[str, int, int]] = [("read", 0, remaining)]
    for name, removed in funnel.lost.items():
        remaining -= removed
        rows.append((name, removed, remaining))
    report.table("Funnel", ("criterion", "removed", "remaining"), [*rows, ("kept", 0, funnel.kept)])
    for message in funnel.bad.values():
        report.say(f"bad file: {message}")
