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
    preset: Annotated[str, typer.Option(help="Criteria to start from: plan or paper4.")] = "plan",
    min_nobs_g: Annotated[int | None, typer.Option(min=0, help="Fewest exposures in g.", show_default=False)] = None,
    min_nobs_r: Annotated[int | None, typer.Option(min=0, help="Fewest exposures in r.", show_default=False)] = None,
    min_nobs_z: Annotated[int | None, typer.Option(min=0, help="Fewest exposures in z.", show_default=False)] = None,
    max_mag_z: Annotated[
        float | None, typer.Option(help="Only rows brighter than this in z.", show_default=False)
    ] = None,
    exclude_arcsec: Annotated[
        float | None, typer.Option(min=0, help="Keep this far from every lens (11).", show_default=False)
    ] = None,
    partition_by: Annotated[
        list[str],
        typer.Option(
            metavar="COLUMN",
            help="Make OUTPUT a folder of COLUMN=value/part-*.parquet: split, pool, type, nobs_z_bin; repeat for more.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    skip_bad: Annotated[int, typer.Option(min=0, help="How many unreadable files may be passed over.")] = 0,
    engine: Annotated[
        str, typer.Option(help="local, or spark: OUTPUT is a folder that executors fill, a file or more a sweep.")
    ] = "local",
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Make the pool of negatives from sweeps or Tractor files.

    Rows that meet the criteria and lie far from every lens get their pool (N1, or N2 with a confuser class), bins,
    HEALPix pixels and split. An interrupted run goes on where it was when the command is given again; for an output on
    S3 its work lies in lensctl/ in the cache folder (XDG_CACHE_HOME, else ~/.cache) until then.

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
        raise InputError("no lens catalogue is given", "add --lenses CATALOG, once for each catalogue")
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
            report.say(f"{output} was made by this very command: nothing to do")
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
                told = _told(in_order(_advancing(chosen, advance), files), funnel, parts)
                finish = _written(told, target, partition_by, kind)
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
    """What the pool is, for people and for programs."""
    from lensctl.gates.pool import Settings
    from lensctl.pool.funnel import classes, validation

    report.table("The plan's validation (2.1)", ("metric", "value", "target", "met"), validation(funnel, Settings()))
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
    """Make the pool on a cluster: nothing but the funnels comes back to this machine."""
    from lensctl.io.provenance.steps import Step, extend
    from lensctl.io.storage.growing_folders import begin_folder
    from lensctl.io.tables import sweeps as catalogs
    from lensctl.io.tables.files import made_by
    from lensctl.io.tables.spark import Cluster
    from lensctl.pool.funnel import Funnel
    from lensctl.pool.growing_pool import Elsewhere
    from lensctl.rules.errors import InputError

    if engine != "spark":
        raise InputError(f"no engine '{engine}'", "use local or spark")
    if kind != "parquet":
        raise InputError(f"{output}: Spark writes a folder of parquet files", "name a folder, best on s3://")
    with Cluster() as cluster:
        for path in (output, *files[:1]):
            cluster.refuse_unseen(path)
        digests = cluster.each(catalogs.digest, files)
        step = Step("pool", parameters, (catalogs.catalog_input(files, digests), *sources))
        chain = extend(step)
        if made_by(output, step.id):
            report.say(f"{output} was made by this very command: nothing to do")
            report.receipt("pool", output, files=len(files))
            return
        with begin_folder(output, step.as_dict(), overwrite=overwrite, afresh=overwrite) as place:
            part = Elsewhere(place, criteria, *lenses, tuple(parameters["partition_by"]), chain)
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
    """Raise InputError where a pool cannot be divided so."""
    from lensctl.pool.growing_pool import PARTITIONS
    from lensctl.rules.config import nearest
    from lensctl.rules.errors import InputError

    for name in names:
        if name not in PARTITIONS:
            raise InputError(f"no partitions by '{name}'{nearest(name, PARTITIONS)}", f"use {', '.join(PARTITIONS)}")
    if len(set(names)) < len(names):
        raise InputError("a column is given twice to --partition-by", "name each once")
    if names and (output == "-" or kind != "parquet"):
        raise InputError(f"{output} cannot be a folder of parquet files", "leave out --partition-by, or name a folder")


def _is_alike(chain: Chain, begun: Step) -> bool:
    """Whether what is there was made in these words, as far as can be told without reading the catalogue files."""
    import json

    def words(step: Step) -> str:
        told = step.as_dict()
        told["inputs"] = [(source.role, source.name) for source in step.inputs[:1]], [vars(s) for s in step.inputs[1:]]
        return json.dumps(told, sort_keys=True)

    return bool(chain) and words(chain[-1]) == words(begun)


def _place(output: str, by: str, overwrite: bool, folder: bool) -> str | Path:
    """Where the output is made: itself on disk, a place in the cache for S3; InputError where it may not be."""
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
    """Give the output its place, and remove the workplace."""
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


def _told(parts: Iterable[Part], funnel: Funnel, seen: list[Part]) -> Iterator[Part]:
    for part in parts:
        funnel.add(part.funnel)
        seen.append(part)
        yield part


def _written(parts: Iterable[Part], target: str, partition_by: list[str], kind: str) -> Callable[[Chain], None]:
    """Take in the parts as they come; gives what finishes the output once its provenance is known.

    Parquet is written at once, other formats (whose provenance stands at their beginning) when all parts are there.
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
    """Raise InputError where too many files are bad, or nothing is left."""
    from lensctl.rules.errors import InputError

    if len(funnel.bad) > skip_bad:
        first = next(iter(funnel.bad.values()))
        raise InputError(f"{len(funnel.bad)} of {files} files are bad, first {first}", "mend them, or leave them out")
    if not funnel.kept:
        raise InputError("no catalogue row meets the criteria", "the funnel above says what they were lost to")


def _show(funnel: Funnel) -> None:
    """The funnel for people: what was read, what each criterion cost, what is left; and the bad files."""
    left = funnel.read
    rows: list[tuple[str, int, int]] = [("read", 0, left)]
    for name, lost in funnel.lost.items():
        left -= lost
        rows.append((name, lost, left))
    report.table("Funnel", ("criterion", "lost", "left"), [*rows, ("kept", 0, funnel.kept)])
    for message in funnel.bad.values():
        report.say(f"bad file: {message}")
