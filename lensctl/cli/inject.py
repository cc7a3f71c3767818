"""`lensctl inject`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command
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
from lensctl.cli.options import Format, Overwrite, Seed, Survey, Workers


@command("inject", PIXELS)
def inject(
    hosts: Hosts,
    store: HostStore,
    injected: Annotated[str, typer.Argument(metavar="INJECTED", help="Store to write: a folder, or s3://.")],
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
    shard_rows: Annotated[int, typer.Option(help="Cutouts per file of the store.")] = 512,
    part: Part = None,
    finish: Finish = False,
    dry_run: DryRun = False,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Add lensed sources to cutouts of possible lenses.

    They get the PSF, gain and noise of the pixels. Each row is one injection, with all its parameters in the index.
    Every random number depends on seed, galaxy and number alone, so that a control or a variation is paired with its
    injection, and --per-host 10 contains 5. Rerun the command to resume.

    Example: lensctl inject hosts.parquet hosts.zarr injected.zarr
    """
    from lensctl.inject import inject

    report.receipt(
        **inject(
            hosts,
            store,
            injected,
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
            shard_rows=shard_rows,
            part=part,
            finish=finish,
            dry_run=dry_run,
            workers=workers,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
