"""The plans of a search's catalogue files: made where they are missing, by processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lensctl.io import workers
from lensctl.io.reporter import SILENT, Reporter
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.rules.errors import InputError, Unfinished
from lensctl.search.rows import Plan, read_plan

if TYPE_CHECKING:
    from lensctl.search.preparing import Search


def planned(
    ready: Search, place: GrowingFolder, *, make: bool, count: int | None = None, report: Reporter = SILENT
) -> list[Plan]:
    """The plans of this run's catalogue files, made where they are missing.

    Raises
    ------
    Unfinished
        One is missing, and none may be made.
    InputError
        A file cannot be read, or no row meets the criteria.
    """
    found = {number: read_plan(place, number) for number in ready.mine()}
    missing = [(number, ready.files[number]) for number, plan in found.items() if plan is None]
    if missing and not make:
        raise Unfinished(
            f"{ready.out}: {len(missing)} of {len(ready.files)} catalogue files have not been searched, first "
            f"{missing[0][1].rpartition('/')[2]}",
            "complete the parts that search them, then rerun with --finish",
        )
    with report.progress("catalogue files", len(found)) as advance:
        advance(len(found) - len(missing))
        for plan in workers.each(ready.planner(place), missing, count):
            found[plan.file] = plan
            advance(1)
    plans = [plan for plan in found.values() if plan is not None]
    if not any(plan.rows for plan in plans) and not ready.part:
        raise InputError("no row meets the criteria", "choose others with --criteria")
    return plans
