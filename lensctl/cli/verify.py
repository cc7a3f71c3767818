"""`lensctl verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import Device, set_openmp_wait_policy
from lensctl.cli.options import Key

FAILED = 1


@command("verify", MODEL)
def verify(
    frozen_dir: Annotated[
        Path, typer.Argument(metavar="FROZEN_DIR", help="Made by `lensctl freeze`, or by `lensctl selection attach`.")
    ],
    key: Key = None,
    frozen: Annotated[
        Path | None,
        typer.Option(
            "--frozen",
            metavar="FROZEN",
            help="Of an attachment: the frozen model that it must be of, verified too.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
) -> int:
    """Verify that a frozen model is unchanged.

    Exit status 1 means that verification failed.

    Prints one JSON line per check, like `lensctl gate`: no file is missing, extra or modified; the signature is by the
    expected key; digests and provenance steps are consistent; thresholds are reproduced from the stored scores; weights
    reproduce the golden logits, on the CPU and, if available, on CUDA. The exported program, model.pt2, is opened and
    compared too, but with --key only, because opening it can run code that its maker put there.

    Of a selection function attached to a frozen model: files and signature, digests, tables, and its level, selection:
    closure reached and realism not missed. It names the frozen model by digest; --frozen compares.

    Someone who can change files can also update SHA256SUMS and everything else to match. Only --key detects that.

    Example: lensctl verify frozen
    """
    set_openmp_wait_policy()
    from lensctl.verify import verify

    found = verify(
        frozen_dir,
        key=key,
        device=device,
        frozen=frozen,
        each=lambda check: report.out(check.as_json()),
        report=report,
    )
    return 0 if found["passed"] else FAILED
