"""`lensctl pack`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command
from lensctl.cli.options import MaxEmpty, Overwrite, Survey, Workers
from lensctl.rules.acceptance import MAX_EMPTY


@command("pack", PIXELS)
def pack(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of .npz files, one per cutout.")],
    store: Annotated[str, typer.Argument(metavar="STORE", help="Cutout store to write, a folder.")],
    survey: Survey = None,
    shard_rows: Annotated[int, typer.Option(min=1, help="Cutouts per file of the store.")] = 1024,
    codec: Annotated[str, typer.Option(help="Compression: none, lz4 or zstd.")] = "none",
    max_empty: MaxEmpty = MAX_EMPTY,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Pack a folder of .npz cutouts into a store.

    `lensctl export` returns the same arrays, including dtypes.

    Files are checked and measured, and never unpickled. An interrupted run resumes.

    Example: lensctl pack npz packed.zarr
    """
    from lensctl.pack import pack

    report.receipt(
        **pack(
            folder,
            store,
            survey=survey,
            shard_rows=shard_rows,
            codec=codec,
            max_empty=max_empty,
            workers=workers,
            overwrite=overwrite,
            report=report,
        )
    )
