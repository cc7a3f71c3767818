"""`lensctl freeze`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import be_a_good_neighbour, root_of
from lensctl.cli.options import Overwrite, Root

if TYPE_CHECKING:
    from lensctl.frozen.signature import PrivateKey

PASSPHRASE = "LENSCTL_SIGN_PASSPHRASE"


@command("freeze", MODEL)
def freeze(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Made by `lensctl train`.")],
    frozen_dir: Annotated[Path, typer.Argument(metavar="FROZEN_DIR", help="Folder to make.")],
    evaluation: Annotated[Path, typer.Option("--evaluation", metavar="DIR", help="Made by `lensctl evaluate`.")],
    gates: Annotated[
        list[Path],
        typer.Option("--gates", metavar="FILE", help="Lines that `lensctl gate` wrote; repeat for several."),
    ],
    allow_failed: Annotated[
        str,
        typer.Option(
            "--allow-failed",
            metavar="REASON",
            help="Freeze in spite of gates that failed or are missing; the reason is recorded.",
            show_default=False,
        ),
    ] = "",
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="The manifest that was trained on: refuse where it, or any cutout it names, changed since.",
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
            f"If it is encrypted, {PASSPHRASE} opens it, or what you type.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Freeze a model: weights, thresholds, evidence and proof.

    Refused where the provenance from the pool to the evaluation has a gap, the evaluation is of other weights or
    another manifest, its thresholds were not chosen on validation, or one of the gates pool, splits, overlap, pixels,
    homogeneity, weights, shortcut and trained did not pass on the very data that were trained and evaluated on.

    Example: lensctl freeze run frozen --evaluation evaluation --gates gates.jsonl
    """
    be_a_good_neighbour()
    from lensctl.freeze import freeze as frozen_from
    from lensctl.io.storage.atomic import refuse_existing, whole_folder
    from lensctl.io.tables.files import read_table
    from lensctl.learning.training.trained_on import Data

    refuse_existing(frozen_dir, overwrite)
    key = None if sign is None else _private_key(sign)
    data = None if manifest is None else Data(read_table(manifest), root_of(manifest, root), manifest)
    cutouts = 0 if data is None else data.manifest.num_rows
    with whole_folder(frozen_dir, overwrite) as part, report.progress("cutouts compared", cutouts) as advance:
        made = frozen_from(
            run_dir, evaluation, gates, part, allow_failed=allow_failed, data=data, key=key, advance=advance
        )
    if made.mock:
        report.say("the model was trained on a mock survey, and its README says so")
    if data is None:
        report.say("manifest and cutouts were not compared with what was trained on; --manifest FILE does it")
    for problem in made.allowed:
        report.say(f"let pass: {problem}")
    report.receipt(
        "freeze",
        str(frozen_dir),
        model_digest=made.model_digest,
        members=made.members,
        golden=made.golden,
        gates_let_pass=len(made.allowed),
        cutouts_compared=cutouts,
        signed=key is not None,
        mock=made.mock,
    )


def _private_key(path: Path) -> PrivateKey:
    """The key to sign with; its passphrase is asked for where it needs one, nothing gives it and somebody is there."""
    from lensctl.frozen import signature
    from lensctl.rules.errors import InputError

    try:
        return signature.private_key(path, os.environ.get(PASSPHRASE))
    except signature.NeedsPassphrase as error:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise InputError(str(error), f"set {PASSPHRASE}, or run it on a terminal, which asks for it") from error
    return signature.private_key(path, str(typer.prompt(f"Passphrase of {path}", hide_input=True, err=True)))
