"""`lensctl doctor`."""

from __future__ import annotations

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
) -> None:
    """Check this machine: versions, GPU, AWS, services.

    Being offline, or without AWS or a GPU, is not a failure. Secrets are not shown.

    Example: lensctl doctor
    """
    from lensctl.doctor import doctor

    report.receipt(**doctor(bucket, url=url, seconds=seconds, folder=folder, report=report))
