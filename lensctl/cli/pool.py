"""`lensctl pool`."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import CATALOGUES, Downloads, Format, Lenses, Output, Overwrite, Survey, Workers


@command("pool", TABLES)
def pool(
    sweeps: Annotated[list[str], typer.Argument(metavar="SWEEP...", help=CATALOGUES)],
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
    downloads: Downloads = None,
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
    from lensctl.pool import pool

    least = {"g": min_nobs_g, "r": min_nobs_r, "z": min_nobs_z}
    report.receipt(
        **pool(
            sweeps,
            output,
            lenses=lenses,
            survey=survey,
            preset=preset,
            min_nobs={band: n for band, n in least.items() if n is not None} | _by_band("--min-nobs", min_nobs, int),
            max_mag=({} if max_mag_z is None else {"z": max_mag_z}) | _by_band("--max-mag", max_mag, float),
            criterion=criterion,
            exclude_arcsec=exclude_arcsec,
            partition_by=partition_by,
            skip_bad=skip_bad,
            downloads=downloads,
            engine=engine,
            workers=workers,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )


def _by_band(option: str, texts: list[str], number: type[int] | type[float]) -> dict[str, Any]:
    """Numbers by band from `BAND=N` texts; InputError for anything else."""
    from lensctl.rules.errors import InputError

    found = {}
    for text in texts:
        band, _, value = text.partition("=")
        try:
            found[band.strip()] = number(value)
            if not math.isfinite(found[band.strip()]):
                raise ValueError
        except ValueError as error:
            raise InputError(f"{option} {text} is not BAND=NUMBER", f"write it as {option} z=3") from error
    return found
