"""`lensctl doctor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import LOOK, command


@command("doctor", LOOK)
def doctor(
    bucket: Annotated[
        str | None, typer.Option(metavar="BUCKET", help="Also check access to this S3 bucket.", show_default=False)
    ] = None,
    url: Annotated[
        str, typer.Option(metavar="URL", help="The cutout service.")
    ] = "https://www.legacysurvey.org/viewer",
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Time to wait for a server.")] = 5.0,
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Folder whose free disk space is checked.")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="Print every finding as one JSON line only.")] = False,
) -> None:
    """Check this machine: versions, GPU, AWS, services.

    Being offline, or without AWS or a GPU, is not a failure. Secrets are not shown. The JSON line holds every finding,
    except on a terminal, where the table does: --json prints it there too.

    Example: lensctl doctor
    """
    from lensctl.doctor import doctor
    from lensctl.io.reporter import SILENT, Reporter

    told: Reporter = SILENT if json else report
    made = doctor(bucket, url=url, seconds=seconds, folder=folder, report=told)
    if not json and sys.stdout.isatty():
        del made["findings"]
    report.receipt(**made)
