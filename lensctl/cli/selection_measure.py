"""`lensctl selection measure`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import Device, Threads, set_openmp_wait_policy
from lensctl.cli.injection_options import (
    Control,
    Design,
    DryRun,
    Finish,
    Gain,
    Hosts,
    HostStore,
    Noise,
    Part,
    PerHost,
    Psf,
    PsfBeta,
    SourceModel,
    Stamps,
    Vary,
)
from lensctl.cli.options import Format, Key, Overwrite, Seed, Survey, Workers
from lensctl.cli.selection_group import group


@command("measure", MODEL, group)
def measure(
    model: Annotated[str, typer.Argument(metavar="FROZEN", help="Frozen model.")],
    hosts: Hosts,
    store: HostStore,
    output: Annotated[str, typer.Argument(metavar="OUT", help="Folder of parquet files to write, or s3://.")],
    per_host: PerHost = 5,
    control: Control = None,
    vary: Vary = None,
    seed: Seed = 42,
    psf: Psf = "moffat",
    psf_beta: PsfBeta = 2.5,
    noise: Noise = "resampled",
    gain: Gain = "measured",
    source_model: SourceModel = "mixed",
    stamps: Stamps = None,
    design: Design = None,
    survey: Survey = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Test-time augmentation: average over 8 rotations and flips.")
    ] = False,
    embedding: Annotated[
        bool, typer.Option("--embedding", help="Add what enters the last layer, as a column of lists.")
    ] = False,
    shard_rows: Annotated[int, typer.Option(min=1, help="Injections per file, and in the memory of a process.")] = 256,
    part: Part = None,
    finish: Finish = False,
    dry_run: DryRun = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = None,
    key: Key = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Inject, score and observe in one stream; pixels are dropped.

    The rows are those of inject, score and selection observe, without a store of injections in between. The frozen
    model is verified first. Rerun the command to resume.

    Example: lensctl selection measure frozen hosts.parquet hosts.zarr injections --per-host 5
    """
    set_openmp_wait_policy()
    from lensctl.selection import measure

    report.receipt(
        **measure(
            model,
            hosts,
            store,
            output,
            per_host=per_host,
            control=control,
            vary=vary,
            seed=seed,
            psf=psf,
            psf_beta=psf_beta,
            noise=noise,
            gain=gain,
            source_model=source_model,
            stamps=stamps,
            design=design,
            survey=survey,
            tta=tta,
            embedding=embedding,
            shard_rows=shard_rows,
            part=part,
            finish=finish,
            dry_run=dry_run,
            device=device,
            threads=threads,
            workers=workers,
            key=key,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
