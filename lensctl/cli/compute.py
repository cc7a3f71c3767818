"""Options and helpers shared by `train` and `score`: cutout folder, device, threads."""

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
        help="CPU threads; default: one per core.",
        show_default=False,
        rich_help_panel="Machine",
    ),
]


def set_openmp_wait_policy() -> None:
    """Let waiting OpenMP threads sleep, unless OMP_WAIT_POLICY is set; call before importing torch.

    On a shared machine, spinning threads take cores from the threads they wait for: up to ten times slower, and no
    faster on an idle machine.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def root_of(manifest: str, root: Path | None) -> str:
    """Folder that a manifest's `cutout_path` is relative to: `root` if given, else the manifest's folder."""
    if root is not None:
        return str(root)
    if manifest == "-":
        raise InputError("a manifest on stdin has no folder to resolve cutout_path against", "add --root FOLDER")
    if "://" in manifest:
        return manifest.rpartition("/")[0]
    return str(Path(manifest).absolute().parent)


def local_folder(path: str, what: str) -> Path:
    """A folder on local disk; InputError for one on S3. `what` is the start of the message."""
    if path.startswith(("s3://", "s3a://")):
        raise InputError(f"{path}: {what} local disk", "use a local folder and copy it with `lensctl sync`")
    from lensctl.io.storage.atomic import refuse_pipe

    refuse_pipe(path)
    return Path(path)
