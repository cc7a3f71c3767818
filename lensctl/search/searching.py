"""From a frozen model and tables of galaxies to ranked candidates: the whole command, in one run or in parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.io.clock import CLOCK
from lensctl.io.imaging.making import part_of
from lensctl.io.imaging.source import TRANSIENT
from lensctl.io.paths import Paths, listed
from lensctl.io.provenance.steps import Input, Step, extend, from_list, is_alike
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage import s3
from lensctl.io.storage.growing_folders import GrowingFolder, begin_folder
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables import sweeps
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError, Unfinished
from lensctl.rules.quality import OK
from lensctl.rules.survey import Survey
from lensctl.search.blocks import Block, NothingScored, stream, undone
from lensctl.search.planning import planned
from lensctl.search.preparing import NO_CRITERIA, Search, prepared
from lensctl.search.rows import Plan
from lensctl.search.summary import SUMMARY
from lensctl.search.telling import counts, show

if TYPE_CHECKING:
    from lensctl.search.finishing import Finish

KEEP = 5000
RESCORING_THREADS = 2
"""On the CPU, whatever the machine has: another number may give other rounding."""


def search(
    frozen: str | Path,
    tables: Paths,
    out_dir: str | Path,
    *,
    root: str | Path | None = None,
    source: str = "coadd",
    survey: Survey | str | None = None,
    criteria: str = NO_CRITERIA,
    max_empty: float = MAX_EMPTY,
    keep: int | None = None,
    threshold: str | None = None,
    lenses: Paths = (),
    manifest: Paths = (),
    null: Paths = (),
    hats: bool = False,
    part: str | None = None,
    finish: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    connections: int = 8,
    timeout: float = 60.0,
    tries: int = 6,
    key: str | Path | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Search tables of galaxies with a frozen model, from coadds and without a store; called again, it resumes.

    Parameters
    ----------
    frozen : path
        Frozen model; it is verified first.
    tables : path or paths
        Sweeps or Tractor files (FITS), parquet, or HATS: galaxy_id, or brickname and objid; ra, dec.
    out_dir : path
        Folder to make, on disk or `s3://`.
    root, connections, timeout, tries, max_empty
        Of the coadds: see `CoaddSource`.
    source : str
        `coadd`, the only source that answers fast enough.
    survey : Survey or str, optional
        The survey, its name or its YAML file; default the model's.
    criteria : str
        A preset of the survey's criteria, or `none`.
    keep : int, optional
        Rows with the highest logits that are candidates; 5000 if neither this nor `threshold` is given.
    threshold : str, optional
        Instead: all rows that reach this frozen threshold, by name.
    lenses : path or paths
        Catalogues of known lenses, to name candidates and to measure recall.
    manifest : path or paths
        Training manifests; their rows of train and val are flagged.
    null : path or paths
        Scores, by this model, of draws of galaxies that are not lenses and that it has not seen: for q-values.
    hats : bool
        Make `scores` a HATS catalogue.
    part, finish
        `K/N`: make only part K of N; make the output once all parts are done.
    dry_run : bool
        Only say what would be done, with a rate measured on the first blocks.
    device, threads, workers
        Of the network; processes that cut.
    key : path, optional
        Public key (PEM) of whom the model must be signed by.

    Returns
    -------
    Receipt
        With rows, rows scored and lost, candidates, systems, square degrees searched and rows per second.

    Raises
    ------
    InputError
        A model that does not verify, tables of another survey or release, bad options, an existing output of another
        job, a part that is missing.
    """
    out = str(out_dir)
    of_part = _part(part, finish=finish, overwrite=overwrite, dry_run=dry_run)
    if source != "coadd":
        raise InputError(f"no source '{source}' to search", "use coadd: a service cuts too slowly for a search")
    if keep is not None and threshold is not None:
        raise InputError(f"--keep {keep} and --threshold {threshold} both say which rows are kept", "give one of them")
    if root is None:
        raise InputError("no folder of coadds is given", "add --root FOLDER, the one that holds coadd/")
    ready = prepared(
        str(frozen),
        listed(tables),
        out,
        str(root),
        survey=survey,
        criteria=criteria,
        max_empty=max_empty,
        wanted=(keep or KEEP, threshold),
        lenses=listed(lenses),
        manifests=listed(manifest),
        nulls=listed(null),
        is_hats=hats,
        part=of_part,
        machine={"processes": workers, "connections": connections, "timeout": timeout, "tries": tries},
        device=device,
        key=key,
    )
    if dry_run:
        from lensctl.search.foreseeing import foreseen

        return foreseen(ready, device=device, threads=threads, report=report)
    if not overwrite and (done_before := _done_before(ready, workers)) is not None:
        report.say(f"{out} is up to date: nothing to do")
        _warn(done_before, "--overwrite searches everything again", report)
        return {"command": "search", "output": out, "files": len(ready.files)}
    own = f"{of_part[0]}-of-{of_part[1]}" if of_part else None
    with begin_folder(out, ready.begun.as_dict(), overwrite=overwrite, afresh=overwrite, part=own) as place:
        try:
            plans = planned(ready, place, make=not finish, count=workers, report=report)
            blocks = ready.my_blocks(plans)
            if finish:
                _refuse_undone(out, blocks, place.parts())
                done: dict[str, Any] = {"rows": sum(plan.rows for plan in plans)}
            else:
                done = streamed(ready, place, plans, blocks, device=device, threads=threads, report=report)
            if of_part:
                _warn(done["status"], "run this part again before --finish", report)
                return {"command": "search", "output": out, "part": part, **done}
            from lensctl.search.finishing import finish as finished

            made = finished(place, _finish(ready, plans, blocks))
        except InputError as error:
            nothing = not _has_scores(place) or isinstance(error, NothingScored)
            if nothing and not of_part and not isinstance(error, Unfinished):
                place.abandon()
            raise
    show(made, report)
    _warn(made["rows"]["status"], "--overwrite searches everything again", report)
    own_of = {name: value for name, value in done.items() if name not in ("rows", "status")}
    return {"command": "search", "output": out, **counts(made), **own_of}


def _part(part: str | None, *, finish: bool, overwrite: bool, dry_run: bool) -> tuple[int, int] | None:
    given = {"--part": part is not None, "--finish": finish, "--overwrite": overwrite, "--dry-run": dry_run}
    named = [name for name, is_given in given.items() if is_given]
    if len(named) > 1 and named[0] in ("--part", "--finish"):
        raise InputError(
            f"{named[0]} cannot be combined with {named[1]}",
            "make all parts with --part K/N, then run the same command with --finish instead",
        )
    return None if part is None else part_of(part)


def _warn(statuses: Mapping[str, int], what_to_do: str, report: Reporter) -> None:
    """Tell of rows that have no score for a reason that may pass."""
    failed = {status: n for status, n in statuses.items() if status in TRANSIENT}
    if failed:
        why = ", ".join(f"{n:,} {status}" for status, n in sorted(failed.items()))
        report.say(f"{sum(failed.values()):,} rows failed for a reason that may pass ({why}): {what_to_do}")


def _done_before(ready: Search, count: int | None) -> dict[str, int] | None:
    """Rows by status of the output, if it was made by this very search."""
    path = f"{ready.out.rstrip('/')}/{SUMMARY}"
    try:
        data = s3.read_object(path) if is_s3(path) else Path(path).read_bytes()
        made = json_value(data)
        chain = from_list(made["provenance"], path)
        statuses = {str(status): int(n) for status, n in made["rows"]["status"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, InputError):
        return None
    if not is_alike(chain, ready.begun):
        return None
    found = sweeps.catalog_input(ready.files, sweeps.digests_of(ready.files, count))
    return statuses if chain[-1].id == _step(ready, found).id else None


def _step(ready: Search, tables: Input) -> Step:
    """The step with the digest of what the tables hold."""
    inputs = (tables, *ready.begun.inputs[1:])
    return Step("search", ready.begun.parameters, inputs, survey=ready.survey)


def _refuse_undone(out: str, blocks: Sequence[Block], done: set[str]) -> None:
    missing = [block for block in undone(blocks, done) if block.name(again=True) not in done]
    if missing:
        raise Unfinished(
            f"{out}: {len(missing)} of {len(blocks)} blocks are missing, first {missing[0].number} of catalogue file "
            f"{missing[0].file + 1}",
            "complete the parts that make them, then rerun with --finish",
        )


def streamed(
    ready: Search,
    place: GrowingFolder,
    plans: Sequence[Plan],
    blocks: Sequence[Block],
    *,
    device: str = "auto",
    threads: int | None = None,
    report: Reporter = SILENT,
) -> dict[str, Any]:
    """Make the blocks of this run that are not done; returns rows, those made now by status, and how many a second."""
    from lensctl.learning.networks.scorer import Scorer
    from lensctl.learning.out_of_memory import enough_memory

    todo = undone(blocks, place.parts())
    rows = sum(block.stop - block.start for block in blocks)
    now = sum(block.stop - block.start for block in todo)
    found: Counter[str] = Counter()
    if todo:
        scorer = Scorer(ready.model, device=device, threads=threads)
        started = CLOCK.now()
        with report.progress("galaxies searched", rows) as shown, enough_memory("use --device cpu"):
            shown(rows - now)

            def advance(statuses: Counter[str]) -> None:
                found.update(statuses)
                lost = (f"{n:,} {status}" for status, n in found.most_common() if status != OK)
                shown(statuses.total(), ", ".join(lost))

            stream(
                place,
                plans,
                todo,
                ready.source,
                scorer,
                ready.window,
                check=ready.refuse_other,
                advance=advance,
                processes=ready.source.processes,
            )
        speed = {"rows_per_second": round(now / max(CLOCK.now() - started, 1e-9), 1)}
    return {"rows": rows, "searched_now": now, "status": dict(sorted(found.items())), **(speed if todo else {})}


def _finish(ready: Search, plans: Sequence[Plan], blocks: Sequence[Block]) -> Finish:
    from lensctl.learning.networks.scorer import Scorer
    from lensctl.search.finishing import Finish

    tables = sweeps.catalog_input(ready.files, [plan.digest for plan in plans])
    chains = list({chain[-1].id: chain for plan in plans if (chain := plan.chain)}.values())
    return Finish(
        name=ready.out.rstrip("/").rpartition("/")[2],
        source=ready.source,
        crop=ready.model.card.crop,
        chain=extend(_step(ready, tables), *chains, *ready.chains),
        plans=plans,
        blocks=blocks,
        points=ready.points,
        wanted=ready.wanted,
        training=ready.training,
        lenses=ready.lenses,
        null=ready.null,
        rescorer=Scorer(ready.model, device="cpu", threads=RESCORING_THREADS),
        model=ready.model.where,
        model_digest=ready.model.digest,
        is_hats=ready.is_hats,
    )


def _has_scores(place: GrowingFolder) -> bool:
    return any(name.startswith("scored-") for name in place.parts())
