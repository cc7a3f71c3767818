"""`lensctl freeze`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import set_openmp_wait_policy
from lensctl.cli.options import Overwrite, Root

if TYPE_CHECKING:
    from lensctl.frozen.signature import PrivateKey

PASSPHRASE = "LENSCTL_SIGN_PASSPHRASE"


@command("freeze", MODEL)
def freeze(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Made by `lensctl train`.")],
    frozen_dir: Annotated[Path, typer.Argument(metavar="FROZEN_DIR", help="Folder to create.")],
    evaluation: Annotated[Path, typer.Option("--evaluation", metavar="DIR", help="Made by `lensctl evaluate`.")],
    gates: Annotated[
        list[Path],
        typer.Option("--gates", metavar="FILE", help="JSON lines from `lensctl gate`; repeat for several."),
    ],
    allow_failed: Annotated[
        str,
        typer.Option(
            "--allow-failed",
            metavar="REASON",
            help="Freeze despite failed or missing gates; the reason is recorded.",
            show_default=False,
        ),
    ] = "",
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="The training manifest: fail if it or any of its cutouts changed since training.",
            show_default=False,
        ),
    ] = None,
    root: Root = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            "--sign",
            metavar="KEY",
            help=f"Sign with this private key (PEM, P-256, P-384 or P-521), in the OpenSSF model-signing format. "
            f"The passphrase of an encrypted key is read from {PASSPHRASE} or prompted for.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Freeze a model: weights, thresholds, evidence, provenance.

    Fails if the provenance from the pool to the evaluation has a gap, the evaluation is of other weights or another
    manifest, its thresholds were not chosen on validation, or one of the gates pool, splits, overlap, pixels,
    homogeneity, weights, shortcut and trained did not pass on exactly the data used for training and evaluation.

    Example: lensctl freeze run frozen --evaluation evaluation --gates gates.jsonl
    """
    set_openmp_wait_policy()
    from lensctl.freeze import freeze
    from lensctl.io.storage.atomic import refuse_existing

    refuse_existing(str(frozen_dir), overwrite)  # before a passphrase is asked for
    report.receipt(
        **freeze(
            run_dir,
            frozen_dir,
            evaluation=evaluation,
            gates=gates,
            allow_failed=allow_failed,
            manifest=manifest,
            root=root,
            key=None if sign is None else _private_key(sign),
            overwrite=overwrite,
            report=report,
        )
    )


def _private_key(path: Path) -> PrivateKey:
    """The signing key; prompts for a missing passphrase if run on a terminal."""
    from lensctl.frozen import signature
    from lensctl.rules.errors import InputError

    try:
        return signature.private_key(path, os.environ.get(PASSPHRASE))
    except signature.NeedsPassphrase as error:
        if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
            raise InputError(str(error), f"set {PASSPHRASE}, or run it on a terminal to be prompted") from error
    return signature.private_key(path, str(typer.prompt(f"Passphrase of {path}", hide_input=True, err=True)))
