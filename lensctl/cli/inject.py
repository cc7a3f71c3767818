"""`lensctl inject`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command
from lensctl.cli.options import Format, Overwrite, Seed, Survey, Workers


@command("inject", PIXELS)
def inject(
    hosts: Annotated[str, typer.Argument(metavar="HOSTS", help="Galaxies that could be lenses; - is stdin.")],
    store: Annotated[str, typer.Argument(metavar="STORE", help="Store of their cutouts, best with invvar.")],
    injected: Annotated[str, typer.Argument(metavar="INJECTED", help="Store to write: a folder, or s3://.")],
    per_host: Annotated[int, typer.Option(min=1, max=10_000, help="Injections of each host.")] = 5,
    control: Annotated[
        str | None,
        typer.Option(
            help="null, noise, unlensed, radial, axisymmetric, grey, wrong-host or swapped: take one thing away.",
            show_default=False,
        ),
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(
            help="Change one assumption: psf-beta-2.2, psf-beta-3.5, psfsize+5, psfsize-5, gain*1.5, gain/1.5, "
            "no-noise, colour+0.1, colour-0.1, re+20, re-20 or q-free.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 42,
    psf: Annotated[
        str, typer.Option(help="moffat, of the hosts' psfsize; planes, of the store's; or FILE.npz of images.")
    ] = "moffat",
    psf_beta: Annotated[float, typer.Option(help="Wings of the Moffat.")] = 2.5,
    noise: Annotated[
        str, typer.Option(help="Photon noise of the arcs: resampled, shared by neighbours as the store's; white; none.")
    ] = "resampled",
    gain: Annotated[
        str, typer.Option(help="measured, by invvar's slope; nominal, of the survey; or FILE.yaml, one a band.")
    ] = "measured",
    source_model: Annotated[str, typer.Option(help="mixed, sersic, clumpy or stamps.")] = "mixed",
    stamps: Annotated[
        str | None, typer.Option(metavar="FILE", help="Images of sources, for stamps.", show_default=False)
    ] = None,
    design: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Design, as far as it differs from the default.", show_default=False),
    ] = None,
    survey: Survey = None,
    shard_rows: Annotated[int, typer.Option(help="Cutouts per file of the store.")] = 512,
    part: Annotated[
        str | None, typer.Option(metavar="K/N", help="Make only part K of N of the store.", show_default=False)
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Close the store after all --part runs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count rows, bytes and hours.")] = False,
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
