"""`lensctl pool`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, Lenses, Output, Overwrite, Workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from lensctl.doors.provenance import Chain
    from lensctl.pool import Funnel


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
    skip_bad: Annotated[int, typer.Option(min=0, help="How many unreadable files may be passed over.")] = 0,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Make the pool of negatives from sweeps or Tractor files.

    Rows that meet the criteria and lie far from every lens get their pool (N1, or N2 with a confuser class), bins,
    HEALPix pixels and split. An interrupted run goes on where it was when the command is given again.

    Example: lensctl pool 'sky/south/sweep/10.0/*.fits' pool.parquet --lenses sky/lenses.csv
    """
    import contextlib
    import dataclasses
    import os
    import tempfile
    from pathlib import Path

    from lensctl.doors import jobs, lens_catalogs, provenance, tables, whole
    from lensctl.doors import sweeps as catalogs
    from lensctl.pool import PRESETS, part_name, select_all, validation
    from lensctl.words.config import nearest
    from lensctl.words.errors import InputError

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
    if not lenses:
        raise InputError("no lens catalogue is given", "add --lenses CATALOG, once for each catalogue")
    files = catalogs.files(sweeps)
    ra, dec, sources = lens_catalogs.positions(lenses)
    step = provenance.Step(
        "pool", {"preset": preset, **dataclasses.asdict(criteria)}, (catalogs.source(files), *sources)
    )
    if tables.made_by(output, step.id):
        report.say(f"{output} was made by this very command: nothing to do")
        report.receipt("pool", output, files=len(files))
        return
    with contextlib.ExitStack() as stack:
        if output == "-" or whole.is_s3(output):
            whole.refuse_existing(output, overwrite)
            job, parts = None, Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            job = stack.enter_context(jobs.job(output, step.as_dict(), overwrite=overwrite))
            parts = job.built
        try:
            with report.progress("catalogue files", len(files)) as advance:
                cores = workers or os.cpu_count() or 1
                funnel = select_all(files, parts, criteria, ra, dec, workers=cores, advance=advance)
            _show(funnel)
            _refuse(funnel, len(files), skip_bad)
        except InputError:
            if job and not any(parts.iterdir()):
                job.abandon()
            raise
        made = [parts / part_name(file) for file in files if file not in funnel.bad]
        target = str(job.folder / "pool.parquet") if job else output
        counts = _write(made, target, provenance.extend(step), format or (tables.format_of(output) if job else None))
        if job:
            job.finish(Path(target))
    report.table("Pool", ("", "value"), validation(counts, funnel.kept))
    report.receipt("pool", output, files=len(files), bad=len(funnel.bad), read=funnel.read, rows=funnel.kept)


def _refuse(funnel: Funnel, files: int, skip_bad: int) -> None:
    """Raise InputError where too many files are bad, or nothing is left."""
    from lensctl.words.errors import InputError

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
    report.table("Funnel", ("criterion", "lost", "left"), rows)
    for message in funnel.bad.values():
        report.say(f"bad file: {message}")


def _write(parts: list[Path], output: str, chain: Chain, format: str | None) -> dict[str, Counter[str]]:
    """Join the parts, in their order, into the output; gives how often each class of row came by."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lensctl.doors import provenance, tables

    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("pool", "confuser_category", "split", "nobs_z_bin", "type")
    }
    schema = provenance.stamp(pq.read_schema(parts[0]).remove_metadata().empty_table(), chain).schema

    def batches() -> Iterator[pa.RecordBatch]:
        for part in parts:
            for batch in pq.ParquetFile(part).iter_batches():
                for name, count in counts.items():
                    count.update(filter(None, batch[name].to_pylist()))
                yield pa.RecordBatch.from_arrays(batch.select(schema.names).columns, schema=schema)

    tables.write_batches(schema, batches(), output, overwrite=True, format=format)
    return counts
