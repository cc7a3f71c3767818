"""`lensctl selection attach`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import set_openmp_wait_policy
from lensctl.cli.options import Key, Overwrite
from lensctl.cli.selection_group import group
from lensctl.cli.signing import Sign, private_key


@command("attach", MODEL, group)
def attach(
    frozen: Annotated[Path, typer.Argument(metavar="FROZEN", help="Frozen model.")],
    selection_dir: Annotated[Path, typer.Argument(metavar="SELECTION_DIR", help="Made by `lensctl selection fit`.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder to create.")],
    gates: Annotated[
        list[Path],
        typer.Option("--gates", metavar="FILE", help="JSON lines of gate realism and gate selection; repeatable."),
    ],
    key: Key = None,
    sign: Sign = None,
    overwrite: Overwrite = False,
) -> None:
    """Attach a selection function to the frozen model that it is of.

    OUT gets attachment.json, which names the frozen model and the selection function by digest, the files of the latter
    in selection/, gates.jsonl, and SHA256SUMS; its level is selection. The frozen model is left as it is. Fails if that
    does not verify, if the selection function is of another model or of other thresholds, was changed or is
    exploratory, or if by the gates closure was not reached at every threshold, or realism was missed.

    Example: lensctl selection attach frozen selection attached --gates gates.jsonl
    """
    set_openmp_wait_policy()
    from lensctl.io.storage.atomic import refuse_existing
    from lensctl.selection import attach

    refuse_existing(out, overwrite)  # before a passphrase is asked for
    report.receipt(
        **attach(
            frozen,
            selection_dir,
            out,
            gates=gates,
            key=key,
            sign=None if sign is None else private_key(sign),
            overwrite=overwrite,
            report=report,
        )
    )
