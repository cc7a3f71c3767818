"""`lensctl export`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command
from lensctl.cli.options import Overwrite, Workers


@command("export", PIXELS)
def export(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Cutout store.")],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to make, with GALAXY_ID.npz for each cutout.")],
    compress: Annotated[bool, typer.Option("--compress", help="Deflate the files.")] = False,
    ok_only: Annotated[bool, typer.Option("--ok-only", help="Leave out cutouts that cannot be used.")] = False,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the cutouts of a store as .npz files.

    Cutouts that failed are written too, NaN and flagged (`meta_status`), unless --ok-only. A killed run goes on.

    Example: lensctl export positives.zarr npz --compress
    """
    from lensctl.export import export
    from lensctl.io.cutouts.store import open_store

    source = open_store(store)
    with report.progress(".npz files", source.n) as advance:
        files = export(
            source,
            folder,
            compress=compress,
            ok_only=ok_only,
            overwrite=overwrite,
            processes=workers,
            advance=advance,
        )
    report.receipt("export", folder, rows=source.n, files=files)
