"""`lensctl sync`."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command

Patterns = list[str]


@command("sync", PIXELS)
def sync(
    src: Annotated[str, typer.Argument(metavar="SRC", help="Folder, file, glob or s3://bucket/prefix.")],
    dst: Annotated[str, typer.Argument(metavar="DST", help="Folder or s3://bucket/prefix to copy into.")],
    include: Annotated[
        Patterns, typer.Option(metavar="GLOB", help="Copy only what matches; repeat for several.", show_default=False)
    ] = [],  # noqa: B006
    exclude: Annotated[
        Patterns, typer.Option(metavar="GLOB", help="Skip what matches; repeat for several.", show_default=False)
    ] = [],  # noqa: B006
    delete: Annotated[bool, typer.Option("--delete", help="Also remove from DST what SRC does not have.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Re-read every copy and compare its content; repair what differs.")
    ] = False,
    connections: Annotated[int, typer.Option(min=1, max=256, help="Objects in transfer at a time.")] = 16,
    bwlimit: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="Maximum bytes per second, e.g. 500k, 20M or 1.5G.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be done.")] = False,
) -> int | None:
    """Copy objects between S3 and disk, either way, verified.

    Objects that are missing from DST or differ are copied; an interrupted run resumes with the same command. Every byte
    is hashed in transfer and compared with the ETag where that is a digest, otherwise with a SHA-256. Files keep their
    modification times. DST gets a ledger of copies and digests, .lensctl-sync.jsonl, and holds _INCOMPLETE until the
    copy is complete, so that nobody reads half a folder.

    In the GLOB of --include and --exclude, * matches any characters, including /: s3://survey/south coadds --include
    '*-image-*.fits.fz'. In SRC, * stays within a folder and ** does not: 'sweep/**/*.fits'. Unfinished outputs on disk
    (.NAME.part) are not copied; folders still growing on S3 are, marked as incomplete.

    Example: lensctl sync negatives.zarr mirror/negatives.zarr
    """
    from lensctl.sync import sync

    made = sync(
        src,
        dst,
        include=include,
        exclude=exclude,
        delete=delete,
        verify=verify,
        connections=connections,
        bytes_per_second=_bytes_per_second(bwlimit) if bwlimit else None,
        dry_run=dry_run,
        report=report,
    )
    report.receipt(**made)
    return 2 if made["failed"] else None


def _bytes_per_second(text: str) -> float:
    """Parse a rate such as 20M; InputError if it is not one."""
    import re

    from lensctl.rules.errors import InputError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKMG]?)", text)
    rate = float(found[1]) * {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}[found[2].upper()] if found else 0.0
    if not 1 <= rate < math.inf:
        raise InputError(f"--bwlimit {text} is not a rate", "write it as 500k, 20M or 1.5G bytes a second")
    return rate
