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
        Patterns, typer.Option(metavar="GLOB", help="Leave out what matches; repeat for several.", show_default=False)
    ] = [],  # noqa: B006
    delete: Annotated[bool, typer.Option("--delete", help="Also remove from DST what SRC does not have.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every copy again and compare its content; mend what differs.")
    ] = False,
    connections: Annotated[int, typer.Option(min=1, max=256, help="Objects underway at a time.")] = 16,
    bwlimit: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="Bytes a second at most, such as 500k, 20M or 1.5G.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> int | None:
    """Copy objects between S3 and disk, either way, verified.

    DST is made to hold what SRC holds: what is missing or differs is copied, what differs is replaced, and the same
    command again goes on where it was cut short. Every byte is summed up on its way and compared: with the ETag where
    that is a digest, else by SHA-256. Files keep their times. DST gets a list of what it was given and its digests,
    .lensctl-sync.jsonl, and holds _INCOMPLETE until it has all of SRC, so that nobody reads half a folder.

    In a GLOB of --include and --exclude * stands for any letters, / too: s3://survey/south coadds --include
    '*-image-*.fits.fz'. In SRC it stays within a folder, and ** does not: 'sweep/**/*.fits'. Unfinished outputs on disk
    (.NAME.part) are not copied; what still grows on S3 is, as not whole.

    Example: lensctl sync negatives.zarr mirror/negatives.zarr
    """

    from lensctl.rules.object_names import NameSelection
    from lensctl.sync import FAILURES, sync
    from lensctl.sync.places import open_object_store
    from lensctl.sync.throttle import Throttle

    throttle = Throttle(_bytes_per_second(bwlimit), time.monotonic) if bwlimit else None
    source, target = open_object_store(src), open_object_store(dst, target=True)
    spoken = {"copy", "mend", "delete"} if dry_run else {"mend"}

    def tell(action: str, key: str) -> None:
        if action in spoken:
            report.say(f"{action} {key}")

    with report.progress("objects", None) as bar:
        started, passed = time.monotonic(), 0

        def advance(done: int, size: int, of: int | None) -> None:
            nonlocal passed
            passed += size
            rate = passed / max(time.monotonic() - started, 1e-9)
            bar(done, f"{passed / 1e9:,.2f} GB, {rate / 1e6:,.0f} MB/s", of)

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
        report.say(f"{dst} holds what {src} holds: nothing to do")
    for folder in outcome.growing:
        what = src if folder == "." else f"{src}: {folder}"
        report.say(f"{what} is still being written, and its copy marked as not whole: sync again when it is")
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
    """A rate such as 20M; InputError for none."""
    import re

    from lensctl.rules.errors import InputError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKMG]?)", text)
    rate = float(found[1]) * {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}[found[2].upper()] if found else 0.0
    if rate < 1:
        raise InputError(f"--bwlimit {text} is no rate", "write it as 500k, 20M or 1.5G bytes a second")
    return rate
