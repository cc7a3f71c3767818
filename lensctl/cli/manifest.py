"""`lensctl manifest`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, MaxEmpty, Output, Overwrite, Root, Survey
from lensctl.rules.acceptance import MAX_EMPTY


@command("manifest", TABLES)
def manifest(
    output: Output,
    positives: Annotated[tuple[str, str], typer.Option(metavar="TABLE STORE", help="Positives and their cutouts.")],
    negatives: Annotated[tuple[str, str], typer.Option(metavar="TABLE STORE", help="Negatives and their cutouts.")],
    hard: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--hard", metavar="TABLE STORE", help="Hard negatives and their cutouts, too.", show_default=False
        ),
    ] = None,
    keep_unstratified: Annotated[
        bool,
        typer.Option(
            "--keep-unstratified", help="Keep positives without negatives of their type and bin of exposures."
        ),
    ] = False,
    max_empty: MaxEmpty = MAX_EMPTY,
    survey: Survey = None,
    root: Root = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    r"""Join positives, negatives and cutouts into a manifest.

    STORE is a cutout store or a folder of .npz files; --max-empty is for the latter, a store has judged its cutouts.
    Left out, and counted: of two cutouts of different splits that overlap, the negative; of rows within 1 arcsec of
    each other, all but a lens or else the first in the sampling order; positives of a stratum without negatives.

    Example: lensctl manifest manifest.parquet \
        --positives positives.parquet positives.zarr --negatives negatives.parquet negatives.zarr
    """
    from lensctl.manifest import manifest

    report.receipt(
        **manifest(
            output,
            positives=positives,
            negatives=negatives,
            hard=hard,
            keep_unstratified=keep_unstratified,
            max_empty=max_empty,
            survey=survey,
            root=root,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
