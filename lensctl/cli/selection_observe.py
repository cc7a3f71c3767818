"""`lensctl selection observe`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.options import CheckPixels, Format, Output, Overwrite, Survey, Workers
from lensctl.cli.selection_group import group


@command("observe", MODEL, group)
def observe(
    scores: Annotated[str, typer.Argument(metavar="SCORES", help="Table of scored cutouts; - is stdin.")],
    store: Annotated[str, typer.Argument(metavar="STORE", help="Store of their cutouts.")],
    output: Output,
    survey: Survey = None,
    check_pixels: CheckPixels = True,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure what can be seen of arcs in scored cutouts.

    One code for real lenses and for injections. All columns of SCORES are kept; obs_* (radius, signal-to-noise, colour,
    contrast and asymmetry of what is bluer than the host, aperture magnitudes) and art_* (noise, sharpness, empty
    pixels, centring) are added, null where STORE has no good cutout. The PSF is psfsize_* of SCORES or of STORE.

    Example: lensctl selection observe injected.scores.parquet injected.zarr injections.parquet
    """
    from lensctl.selection import observe

    report.receipt(
        **observe(
            scores,
            store,
            output,
            survey=survey,
            check_pixels=check_pixels,
            workers=workers,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
