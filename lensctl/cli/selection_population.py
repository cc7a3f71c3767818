"""`lensctl selection population`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.options import Format, Output, Overwrite, Seed, Survey, Workers
from lensctl.cli.selection_group import group


@command("population", MODEL, group)
def population(
    output: Output,
    hosts: Annotated[
        str, typer.Option("--hosts", metavar="HOSTS", help="Made by `lensctl hosts`; - is stdin.", show_default=False)
    ],
    model: Annotated[str, typer.Option(help="Model of nature: sie-vdf.")] = "sie-vdf",
    count: Annotated[
        int, typer.Option(min=1, max=100_000_000, help="Number of lenses; a larger N begins with those of a smaller.")
    ] = 200_000,
    seed: Seed = 42,
    design: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Design of the injections (YAML): shapes and colours are drawn from it, Einstein radii lie in its "
            "range.",
            show_default=False,
        ),
    ] = None,
    assumptions: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A number of the model, such as sigma_star_km_s=165; the receipt lists all. Repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    survey: Survey = None,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a table of lenses as nature has them, to average p_det over.

    Isothermal galaxies by their velocity-dispersion function in a flat universe, in front of galaxies by their counts
    and redshifts; `weight` is how many lenses a row stands for, with the area from which a source has two images.
    Galaxies and conditions are those of the hosts, which need z_host. Every number of the model is an assumption: see
    --set, and verify them before they go into a paper.

    Example: lensctl selection population lenses.parquet --hosts hosts.parquet --count 2000
    """
    from lensctl.selection import population

    report.receipt(
        **population(
            output,
            hosts=hosts,
            model=model,
            count=count,
            seed=seed,
            design=design,
            assumptions=assumptions,
            survey=survey,
            workers=workers,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
