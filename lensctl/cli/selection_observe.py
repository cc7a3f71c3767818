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
    scores: Annotated[str, typer.Argument(metavar="SCORES", help="Table with galaxy_id; - is stdin.")],
    store: Annotated[str, typer.Argument(metavar="STORE", help="Store of its cutouts.")],
    output: Output,
    survey: Survey = None,
    check_pixels: CheckPixels = True,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Add what can be seen of arcs in cutouts, real or injected.

    All columns of SCORES are kept. obs_* is seen of arcs, in the bluest band less the host (the reddest band scaled to
    it): radius, score, contrast, colour, asymmetry; and magnitudes within 1.5 arcsec. art_* is of the pixels: noise,
    sharpness, NaN, zeros, centring. They are null for rows without pixels in STORE. psfsize is needed in every band,
    from SCORES or from STORE.

    Example: lensctl selection observe scores.parquet positives.zarr seen.parquet
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
