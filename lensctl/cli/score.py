"""`lensctl score`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import Device, Threads, set_openmp_wait_policy
from lensctl.cli.options import CheckPixels, Format, Key, MaxEmpty, Output, Overwrite, Survey, Workers
from lensctl.rules.acceptance import MAX_EMPTY


@command("score", MODEL)
def score(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run folder or frozen model.")],
    input: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="Manifest, cutout store, or with --source a table; - is a table on stdin."
        ),
    ],
    output: Output,
    source: Annotated[
        str | None,
        typer.Option(
            help="coadd: INPUT is a table (galaxy_id, ra, dec), whose cutouts are cut from coadds and not kept.",
            show_default=False,
        ),
    ] = None,
    survey: Survey = None,
    root: Annotated[
        str | None,
        typer.Option(
            help="Folder that cutout_path is relative to; default the manifest's, or OUTPUT's if INPUT is a store. "
            "With --source, the coadds: folder, s3:// or http(s)://.",
            show_default=False,
        ),
    ] = None,
    max_empty: MaxEmpty = MAX_EMPTY,
    workers: Workers = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Test-time augmentation: average over 8 rotations and flips.")
    ] = False,
    embedding: Annotated[
        bool, typer.Option("--embedding", help="Add what enters the last layer, as a column of lists.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Cutouts read together; does not affect the result.")] = 256,
    check_pixels: CheckPixels = True,
    device: Device = "auto",
    threads: Threads = None,
    key: Key = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Score cutouts with a trained or frozen model.

    Crop and normalisation are stored with the model; a frozen model is verified first. All columns of INPUT are kept;
    logit, p and the members' logits are added, null where there is no good cutout. With --source there is no store:
    cutouts go from coadds to the model.

    Example: lensctl score run manifest.parquet scores.parquet
    """
    set_openmp_wait_policy()
    from lensctl.score import score

    report.receipt(
        **score(
            model,
            input,
            output,
            source=source,
            survey=survey,
            root=root,
            max_empty=max_empty,
            workers=workers,
            tta=tta,
            embedding=embedding,
            batch_size=batch_size,
            check_pixels=check_pixels,
            device=device,
            threads=threads,
            key=key,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
