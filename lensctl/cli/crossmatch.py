"""`lensctl crossmatch`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import CATALOGUES, Downloads, Format, Output, Overwrite, Survey, Workers


@command("crossmatch", TABLES)
def crossmatch(
    catalog: Annotated[str, typer.Argument(metavar="CATALOG", help="lenscat's CSV, or a table with ra, dec, grading.")],
    tractor: Annotated[list[str], typer.Argument(metavar="TRACTOR...", help=CATALOGUES)],
    output: Output,
    survey: Survey = None,
    radius_arcsec: Annotated[
        float | None, typer.Option(min=0, help="Match radius; default the survey's (5).", show_default=False)
    ] = None,
    merge_arcsec: Annotated[
        float | None,
        typer.Option(min=0, help="Merge candidates within this radius; default the survey's (3).", show_default=False),
    ] = None,
    name_contains: Annotated[str, typer.Option(help="Only rows whose name contains this; '' selects all.")] = "DESI-",
    tier_b_weight: Annotated[float, typer.Option(help="Sample weight of tier B, 0.3 to 0.6.")] = 0.5,
    unmatched: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Also write candidates without a match or stratum here, with the reason.",
            show_default=False,
        ),
    ] = None,
    downloads: Downloads = None,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Match a lens catalogue to the survey: positives with tiers.

    Duplicates of a lens are merged. Every positive is centred on the nearest Tractor object, like the negatives.

    Example: lensctl crossmatch sky/lenses.csv 'sky/south/tractor/*/*.fits' positives.parquet
    """
    from lensctl.crossmatch import crossmatch

    report.receipt(
        **crossmatch(
            catalog,
            tractor,
            output,
            survey=survey,
            radius_arcsec=radius_arcsec,
            merge_arcsec=merge_arcsec,
            name_contains=name_contains,
            tier_b_weight=tier_b_weight,
            unmatched=unmatched,
            downloads=downloads,
            workers=workers,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
