"""From two places, on S3 or disk, to a verified copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lensctl.io.clock import CLOCK
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.rules.object_names import NameSelection
from lensctl.sync.outcome import FAILURES
from lensctl.sync.places import open_object_store
from lensctl.sync.run import copy
from lensctl.sync.throttle import Throttle

SHOWN = 10


def sync(
    src: str | Path,
    dst: str | Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    delete: bool = False,
    verify: bool = False,
    connections: int = 16,
    bytes_per_second: float | None = None,
    dry_run: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Copy objects between S3 and disk, either way, verified; called again, it resumes.

    Parameters
    ----------
    src, dst : path
        Folder, file, glob or `s3://`, and the folder or prefix to copy into.
    include, exclude : sequence of str
        Patterns of what is copied, and of what is not.
    delete, verify, connections, dry_run
        See `run.copy`.
    bytes_per_second : float, optional
        Limit on the rate of all transfers together.

    Returns
    -------
    Receipt
        With objects and bytes copied, skipped, deleted, and how many failed; `output` then lists them in FAILURES.

    Raises
    ------
    InputError
        Nothing to copy, an invalid name, no space, places that contain each other.
    """
    source, target = open_object_store(str(src)), open_object_store(str(dst), target=True)
    reported = {"copy", "mend", "delete"} if dry_run else {"mend"}

    def tell(action: str, key: str) -> None:
        if action in reported:
            report.say(f"{action} {key}")

    started, transferred = CLOCK.now(), 0
    throttle = Throttle(bytes_per_second, CLOCK.now) if bytes_per_second else None
    with report.progress("objects", None) as bar:

        def advance(done: int, size: int, total: int | None) -> None:
            nonlocal transferred
            transferred += size
            rate = transferred / max(CLOCK.now() - started, 1e-9)
            bar(done, f"{transferred / 1e9:,.2f} GB, {rate / 1e6:,.0f} MB/s", total)

        outcome = copy(
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
    for key, reason in sorted(outcome.failed.items())[:SHOWN]:
        report.complain(f"failed: {key}: {reason}")
    if len(outcome.failed) > SHOWN:
        report.complain(f"failed: {len(outcome.failed) - SHOWN:,} more")
    if not (outcome.copied or outcome.deleted or outcome.failed):
        report.say(f"{dst} is up to date with {src}: nothing to do")
    for folder in outcome.growing:
        what = src if folder == "." else f"{src}: {folder}"
        report.say(f"{what} is still being written; its copy is marked incomplete: sync again once it is done")
    made = {
        "command": "sync",
        "output": str(dst),
        "objects": outcome.objects,
        "bytes": outcome.bytes,
        "copied": outcome.copied,
        "copied_bytes": outcome.copied_bytes,
        "skipped": outcome.skipped,
        "deleted": outcome.deleted,
        "failed": len(outcome.failed),
    }
    made |= {"corrupt": len(outcome.corrupt)} if verify else {}
    made |= {"dry_run": True} if dry_run else {}
    made |= {"failures": f"{target.name}/{FAILURES}"} if outcome.failed and not dry_run else {}
    return made
