"""`lensctl score`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import Device, Threads, set_openmp_wait_policy
from lensctl.cli.options import CheckPixels, Format, Key, Output, Overwrite, Root, Survey


@command("score", MODEL)
def score(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run folder or frozen model.")],
    input: Annotated[str, typer.Argument(metavar="INPUT", help="Manifest or cutout store; - is a manifest on stdin.")],
    output: Output,
    survey: Survey = None,
    root: Root = None,
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
    logit, p and the members' logits are added, null where there is no good cutout.

    Example: lensctl score run manifest.parquet scores.parquet
    """
    set_openmp_wait_policy()
    from lensctl.score import score

    report.receipt(
        **score(
            model,
            input,
            output,
            survey=survey,
            root=root,
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
