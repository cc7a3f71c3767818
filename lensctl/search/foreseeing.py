"""What a search would do: rows, bricks, bytes to read, hours and disk, at the rate of the first blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io import workers
from lensctl.io.clock import CLOCK
from lensctl.io.imaging.streaming import cut_block, reading_of
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.growing_folders import GrowingFolder, begin_folder
from lensctl.io.temporary import temporary_folder
from lensctl.rules.errors import InputError
from lensctl.search.blocks import as_bytes, blocks_of, scored_rows, task_of, with_rows
from lensctl.search.planning import planned
from lensctl.search.rows import Plan, read_chunk

if TYPE_CHECKING:
    from lensctl.search.preparing import Search

MEASURED_BLOCKS = 4
COPIES = 2
"""Of the scores while a search is finished: blocks, and partitions of the sky."""


def foreseen(ready: Search, *, device: str = "auto", threads: int | None = None, report: Reporter = SILENT) -> Receipt:
    """Count rows, bricks and bytes, and measure how fast the first blocks are searched; nothing is written."""
    with (
        temporary_folder("search") as folder,
        begin_folder(str(folder / "plan"), ready.begun.as_dict()) as place,
    ):
        try:
            counts = _counted(ready, place, device, threads, report)
        finally:
            place.abandon()
    report.table("Work to do", ("", "count"), list(counts.items()))
    return {"command": "search", "output": ready.out, "dry_run": True, **counts}


def _counted(ready: Search, place: GrowingFolder, device: str, threads: int | None, report: Reporter) -> dict[str, Any]:
    from lensctl.learning.networks import predict
    from lensctl.learning.networks.scorer import Scorer

    plans = planned(ready, place, make=True, count=ready.source.processes, report=report)
    rows = sum(plan.rows for plan in plans)
    blocks = [block for plan in plans for block in blocks_of(plan, ready.window.rows_at_once)]
    first = [table for _, table in with_rows(place, plans, blocks[:MEASURED_BLOCKS])]
    tasks = [task_of(number, table) for number, table in enumerate(first)]
    reading = reading_of(ready.source, ready.window.crop, tasks)
    scorer = Scorer(ready.model, device=device, threads=threads)
    cutting = scoring = 0.0
    kept_bytes = 0
    for task, table in zip(tasks, first, strict=True):
        started = CLOCK.now()
        cut = cut_block(ready.source, ready.window, True, task)
        between = CLOCK.now()
        ready.refuse_other(cut)
        logits = np.full((table.num_rows, scorer.members), np.nan)
        if len(cut.images):
            logits[cut.ok] = scorer.member_logits(cut.images)
        scoring += CLOCK.now() - between
        cutting += between - started
        kept_bytes += len(as_bytes(scored_rows(table, cut, logits)))
    measured = sum(table.num_rows for table in first)
    if not reading.bytes:
        raise InputError("no coadd of the first bricks could be read", "is --root that of the tables' coadds?")
    cutting /= ready.source.processes or workers.cores()
    together = max(cutting, scoring) if predict.pick_device(device).type == "cuda" else cutting + scoring
    cutouts = min(ready.wanted.keep, rows) * ready.source.size**2 * len(ready.survey.bands) * 4
    return {
        "files": len(plans),
        "rows": rows,
        "blocks": len(blocks),
        "bricks": _bricks(place, plans),
        "bytes_to_read": round(reading.bytes * rows / measured),
        "measured_rows": measured,
        "rows_per_second": round(measured / max(together, 1e-9), 1),
        "hours": round(rows * together / measured / 3600, 3),
        "disk_bytes": round(COPIES * kept_bytes * rows / measured + cutouts),
    }


def _bricks(place: GrowingFolder, plans: Sequence[Plan]) -> int:
    """Bricks with a row; files of neighbouring sky share some."""
    found: set[tuple[str, str]] = set()
    for plan in plans:
        for chunk in range(plan.chunks):
            rows = read_chunk(place, plan.file, chunk).select(["region", "brickname"]).group_by(["region", "brickname"])
            named = rows.aggregate([])
            found.update(zip(*(named[name].to_pylist() for name in named.column_names), strict=True))
    return len(found)
