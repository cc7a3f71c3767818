"""Options and helpers shared by `train` and `score`: cutout folder, device, threads."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lensctl.cli.options import MOST_AT_ONCE

Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.", rich_help_panel="Machine")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=MOST_AT_ONCE,
        help="CPU threads; default: one per core.",
        show_default=False,
        rich_help_panel="Machine",
    ),
]
RecordedThreads = Annotated[
    int,
    typer.Option(
        "--threads",
        min=1,
        max=MOST_AT_ONCE,
        help="CPU threads; recorded, as another number gives weights that differ by rounding.",
        rich_help_panel="Machine",
    ),
]


def set_openmp_wait_policy() -> None:
    """Let waiting OpenMP threads sleep, unless OMP_WAIT_POLICY is set; call before importing torch.

    On a shared machine, spinning threads take cores from the threads they wait for: up to ten times slower, and no
    faster on an idle machine.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
