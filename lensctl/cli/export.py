"""`lensctl export`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command
from lensctl.cli.options import CheckPixels, Overwrite, Workers


@command("export", PIXELS)
def export(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Cutout store.")],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to write, with one GALAXY_ID.npz per cutout.")],
    compress: Annotated[bool, typer.Option("--compress", help="Compress the files.")] = False,
    ok_only: Annotated[bool, typer.Option("--ok-only", help="Leave out unusable cutouts.")] = False,
    check_pixels: CheckPixels = True,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the cutouts of a store as .npz files.

    Failed cutouts are written too, as NaN with a flag (`meta_status`), unless --ok-only. An interrupted run resumes.

    Example: lensctl export positives.zarr npz --compress
    """
    from lensctl.export import export

    report.receipt(
        **export(
            store,
            folder,
            compress=compress,
            ok_only=ok_only,
            check_pixels=check_pixels,
            workers=workers,
            overwrite=overwrite,
            report=report,
        )
    )
