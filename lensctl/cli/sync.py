"""`lensctl sync`."""

from __future__ import annotations

import time
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

    from lensctl.rules.object_names import NameSelection
    from lensctl.sync import FAILURES, sync
    from lensctl.sync.places import open_object_store
    from lensctl.sync.throttle import Throttle

    throttle = Throttle(_bytes_per_second(bwlimit), time.monotonic) if bwlimit else None
    source, target = open_object_store(src), open_object_store(dst, target=True)
    reported = {"copy", "mend", "delete"} if dry_run else {"mend"}

    def tell(action: str, key: str) -> None:
        if action in reported:
            report.say(f"{action} {key}")

    with report.progress("objects", None) as bar:
        started, transferred = time.monotonic(), 0

        def advance(done: int, size: int, total: int | None) -> None:
            nonlocal transferred
            transferred += size
            rate = transferred / max(time.monotonic() - started, 1e-9)
            bar(done, f"{transferred / 1e9:,.2f} GB, {rate / 1e6:,.0f} MB/s", total)

        outcome = sync(
            source,
            target,
            selection=NameSelection(include, exclude, source.pattern),
            delete=delete,
            dry_run=dry_run,
            verify=verify,
            connections=connections,
            throttle=throttle,
            advance=advance,
            tell=tell,
        )
    shown = sorted(outcome.failed.items())[:10]
    for key, reason in shown:
        report.say(f"failed: {key}: {reason}")
    if len(outcome.failed) > len(shown):
        report.say(f"failed: {len(outcome.failed) - len(shown):,} more")
    if not (outcome.copied or outcome.deleted or outcome.failed):
        report.say(f"{dst} is up to date with {src}: nothing to do")
    for folder in outcome.growing:
        what = src if folder == "." else f"{src}: {folder}"
        report.say(f"{what} is still being written; its copy is marked incomplete: sync again once it is done")
    facts: dict[str, object] = {
        "objects": outcome.objects,
        "bytes": outcome.bytes,
        "copied": outcome.copied,
        "copied_bytes": outcome.copied_bytes,
        "skipped": outcome.skipped,
        "deleted": outcome.deleted,
        "failed": len(outcome.failed),
    }
    if verify:
        facts["corrupt"] = len(outcome.corrupt)
    if dry_run:
        facts["dry_run"] = True
    if outcome.failed and not dry_run:
        facts["failures"] = f"{target.name}/{FAILURES}"
    report.receipt("sync", dst, **facts)
    return 2 if outcome.failed else None


def _bytes_per_second(text: str) -> float:
    """Parse a rate such as 20M; InputError if it is not one."""
    import re

    from lensctl.rules.errors import InputError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKMG]?)", text)
    rate = float(found[1]) * {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}[found[2].upper()] if found else 0.0
    if rate < 1:
        raise InputError(f"--bwlimit {text} is not a rate", "write it as 500k, 20M or 1.5G bytes a second")
    return rate
