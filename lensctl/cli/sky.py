"""`lensctl sky`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Overwrite, Seed, Survey, Workers


@command("sky", TABLES)
def sky(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder to create.", show_default=False)],
    galaxies: Annotated[
        int, typer.Option(min=20, max=10_000_000, help="Galaxies in the catalogue, including lenses.")
    ] = 18_000,
    lenses: Annotated[
        int | None, typer.Option(min=0, help="Lenses; default 2.1 % of the galaxies.", show_default=False)
    ] = None,
    window_px: Annotated[
        int | None,
        typer.Option(min=1, help="Side of a coadd window; default as needed.", show_default=False),
    ] = None,
    full_bricks: Annotated[bool, typer.Option("--full-bricks", help="Full bricks, not windows.")] = False,
    survey: Survey = None,
    style: Annotated[
        str,
        typer.Option(help="default, or other: deliberately different, to test what was chosen on the default."),
    ] = "default",
    seed: Seed = 42,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a mock survey, laid out like the Legacy Surveys.

    Coadds, Tractor catalogues, sweeps, a lens catalogue and a truth table, for demos and tests. Nothing in it is
    real, as its README and every FITS header state. The same seed and size give identical files.

    Example: lensctl sky sky --galaxies 2000
    """
    from lensctl.sky import sky

    report.receipt(
        **sky(
            out_dir,
            galaxies=galaxies,
            lenses=lenses,
            window_px=window_px,
            full_bricks=full_bricks,
            survey=survey,
            style=style,
            seed=seed,
            workers=workers,
            overwrite=overwrite,
            report=report,
        )
    )
