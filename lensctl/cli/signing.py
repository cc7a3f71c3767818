"""The option of commands that sign what they make, and the private key it names."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lensctl.frozen.signature import PrivateKey

PASSPHRASE = "LENSCTL_SIGN_PASSPHRASE"

Sign = Annotated[
    Path | None,
    typer.Option(
        "--sign",
        metavar="KEY",
        help=f"Sign with this private key (PEM, P-256, P-384 or P-521), in the OpenSSF model-signing format. "
        f"The passphrase of an encrypted key is read from {PASSPHRASE} or prompted for.",
        show_default=False,
    ),
]


def private_key(path: Path) -> PrivateKey:
    """The signing key; prompts for a missing passphrase if run on a terminal."""
    from lensctl.frozen import signature
    from lensctl.rules.errors import InputError

    try:
        return signature.private_key(path, os.environ.get(PASSPHRASE))
    except signature.NeedsPassphrase as error:
        if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
            raise InputError(str(error), f"set {PASSPHRASE}, or run it on a terminal to be prompted") from error
    return signature.private_key(path, str(typer.prompt(f"Passphrase of {path}", hide_input=True, err=True)))
