"""What `train` and `score` share: where pixels are, the device and its threads, manners on a shared machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lensctl.rules.errors import InputError

Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.", rich_help_panel="Machine")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="CPU threads; one per core by default.",
        show_default=False,
        rich_help_panel="Machine",
    ),
]


def be_a_good_neighbour() -> None:
    """Let OpenMP threads sleep while they wait, unless told otherwise; must come before torch is imported.

    Spinning, they take the core from the very thread they wait for wherever other work runs too: up to ten times
    slower then, and no faster where nothing else runs.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def root_of(manifest: str, root: Path | None) -> str:
    """Folder that a manifest's `cutout_path` is relative to: the one given, else the manifest's own."""
    if root is not None:
        return str(root)
    if manifest == "-":
        raise InputError("paths in a manifest on stdin are relative to nothing", "add --root FOLDER")
    if "://" in manifest:
        return manifest.rpartition("/")[0]
    return str(Path(manifest).absolute().parent)


def local_folder(path: str, what: str) -> Path:
    """A folder that must be on local disk; InputError for one on S3."""
    if path.startswith(("s3://", "s3a://")):
        raise InputError(f"{path}: {what} local disk", "name a local folder, and copy it with `lensctl sync`")
    from lensctl.io.storage.atomic import refuse_pipe

    refuse_pipe(path)
    return Path(path)
