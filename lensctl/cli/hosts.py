"""`lensctl hosts`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, Lenses, Output, Overwrite, Seed, Survey


@command("hosts", TABLES)
def hosts(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Pool made by `lensctl pool`; - is stdin.")],
    output: Output,
    lenses: Lenses = [],  # noqa: B006
    positives: Annotated[
        str | None,
        typer.Option(
            "--positives",
            metavar="TABLE",
            help="Positives: host_weight makes hosts resemble their train and val lenses. Without them it is 1.",
            show_default=False,
        ),
    ] = None,
    survey: Survey = None,
    split: Annotated[str, typer.Option(help="Only galaxies of this split: train, val or test.")] = "test",
    count: Annotated[
        int, typer.Option(min=1, help="Maximum number of hosts; a larger N includes those of a smaller.")
    ] = 10_000,
    category: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Confuser classes to take, instead of the criteria of type and colour.",
            show_default=False,
        ),
    ] = None,
    exclude_arcsec: Annotated[
        float, typer.Option(min=0, help="Minimum distance from every lens of the catalogues and positives.")
    ] = 30.0,
    seed: Seed = 42,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Choose galaxies that could be lenses, to inject sources into.

    They are of the test split, which no model has trained on, meet the survey's criteria of hosts, and lie far from
    every lens. Rows are taken in the order of MD5("seed:galaxy_id"). z_host is z_phot where the pool has it, else the
    redshift at which passive galaxies have these colours, else null; z_source says which.

    Example: lensctl hosts pool.parquet hosts.parquet --lenses sky/lenses.csv --count 1000
    """
    from lensctl.hosts import hosts

    report.receipt(
        **hosts(
            pool,
            output,
            lenses=lenses,
            positives=positives,
            survey=survey,
            split=split,
            count=count,
            category=category,
            exclude_arcsec=exclude_arcsec,
            seed=seed,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
