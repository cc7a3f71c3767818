"""`lensctl selection measure`: injections that are made, observed and scored in one stream; pixels are dropped."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensctl.injection import observables
from lensctl.injection.preparing import TIMED_ROWS, Options, Prepared, prepare
from lensctl.io import workers as processes
from lensctl.io.clock import CLOCK
from lensctl.io.cutouts.by_manifest import origin_of
from lensctl.io.imaging.making import part_of
from lensctl.io.imaging.source import Task, index_of
from lensctl.io.provenance.steps import Step, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import exists_error, local_folder
from lensctl.io.storage.growing_folders import GrowingFolder, begin_folder, is_complete
from lensctl.io.tables.files import made_by, parquet_writer
from lensctl.io.tables.paths import SUFFIXES
from lensctl.rules.errors import InputError, Unfinished

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.injection.into_cutouts import Injections
    from lensctl.io.cutouts.layout import Layout
    from lensctl.learning.networks.scorer import Scorer
    from lensctl.rules.survey import Survey


def measure(
    model: str | Path,
    hosts: str | Path,
    store: str | Path,
    output: str | Path,
    *,
    per_host: int = 5,
    control: str | None = None,
    vary: str | None = None,
    seed: int = 42,
    psf: str = "moffat",
    psf_beta: float = 2.5,
    noise: str = "resampled",
    gain: str = "measured",
    source_model: str = "mixed",
    stamps: str | Path | None = None,
    design: str | Path | None = None,
    survey: Survey | str | None = None,
    tta: bool = False,
    embedding: bool = False,
    shard_rows: int = 256,
    part: str | None = None,
    finish: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    key: str | Path | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Inject, score and observe, and keep the tables alone.

    The rows are those of `lensctl.inject.inject`, then `lensctl.score.score`, then `lensctl.selection.observe`. A rerun
    resumes.

    Parameters
    ----------
    model : path
        Frozen model, which is verified first.
    hosts, store : path
        As of `lensctl.inject.inject`, and so are the options up to `survey`.
    output : path
        Folder of parquet files, one for each `shard_rows` injections; local or s3://.
    tta, embedding, device, threads, key
        As of `lensctl.score.score`.
    part, finish, dry_run, workers
        As of `lensctl.inject.inject`. Each process holds the pixels of one file, the parent those of a few more, as far
        as the model sees them.

    Returns
    -------
    Receipt
        With rows, hosts, rows scored, and the model's digest.

    Raises
    ------
    InputError
        As of the three commands; an output of another job.
    """
    from lensctl.frozen.proof.checks import proven  # torch, which the processes that inject do without
    from lensctl.learning.networks.scorer import Scorer, refuse_other_cutouts
    from lensctl.learning.out_of_memory import enough_memory

    model, hosts, store, output = str(model), str(hosts), str(store), str(output)
    _refuse_no_folder(output)
    of_part = None if part is None else part_of(part)
    options = Options(
        per_host, control, vary, seed, psf, psf_beta, noise, gain, source_model, stamps=stamps, design=design
    )
    options.settings()
    loaded = proven(local_folder(model, "a model must be on"), device=device, key=key)
    ready = prepare(hosts, store, options, survey=survey, workers=workers, format=format)
    observables.refuse_unfit(ready.store.size, ready.store.bands, ready.survey, store)
    refuse_other_cutouts(loaded, ready.chains, origin_of(ready.store, ready.source.places), survey)
    for remark in ready.source.calibration.remarks:
        report.say(f"gain in {remark}")
    counts = {"rows": ready.rows.num_rows, "hosts": ready.hosts}
    if dry_run:
        scorer = Scorer(loaded, device=device, threads=threads, tta=tta, embedding=embedding)
        hours = counts["rows"] * _seconds_of_one(ready, scorer) / 3600
        report.table("Work to do, on one core", ("", "count"), [*counts.items(), ("hours", round(hours, 2))])
        return {
            "command": "selection",
            "action": "measure",
            "output": output,
            "dry_run": True,
            **counts,
            "hours": round(hours, 3),
        }
    said = {"tta": tta, "embedding": embedding, "shard_rows": shard_rows}
    inputs = (step_input("model", model, loaded.digest, loaded.chain), *ready.inputs)
    step = Step("selection measure", {**ready.parameters, **said}, inputs, survey=ready.survey)
    chain = extend(step, *ready.chains, loaded.chain)
    layout = ready.layout(shard_rows)
    done = counts["rows"]
    if overwrite or not _is_finished(output, step):
        scorer = Scorer(loaded, device=device, threads=threads, tta=tta, embedding=embedding)
        with (
            report.progress("injections measured", layout.rows) as advance,
            enough_memory("use --device cpu"),
            begin_folder(output, step.as_dict(), overwrite=overwrite, afresh=overwrite, part=_name(of_part)) as place,
        ):
            todo = [s for s in range(layout.shards) if not _is_done(place, s)]
            todo = [s for s in todo if of_part is None or s % of_part[1] == of_part[0] - 1]
            if todo and finish:
                raise Unfinished(
                    f"{output}: {len(todo)} of {layout.shards} files are missing, first {todo[0]}",
                    "complete the parts that make them, then rerun with --finish",
                )
            done = sum(np.diff(layout.span(shard))[0] for shard in todo)
            for shard, rows in measured(ready, layout, todo, scorer):
                _write(place, shard, stamp(rows, chain))
                advance(rows.num_rows)
            if of_part is None:
                place.finish()
    else:
        done = 0
        report.say(f"{output} is up to date: nothing to do")
    if of_part is not None:
        report.say(f"part {part} of {output} is done; when all are, run the command with --finish instead of --part")
    return {
        "command": "selection",
        "action": "measure",
        "output": output,
        **counts,
        "measured": int(done),
        "members": len(loaded.members),
        "model_digest": loaded.digest,
        **ready.facts(),
        **({"part": part} if part else {}),
    }


@dataclass(frozen=True)
class Seen:
    """What is kept of the injections of a task.

    Parameters
    ----------
    index : pa.Table
        As of a store of injections.
    pixels : (n, crop, crop, B) float32
        Of the usable rows.
    usable : (N,) bool
    observed : dict of (N,) float64
    """

    shard: int
    index: pa.Table
    pixels: NDArray[np.float32]
    usable: NDArray[np.bool_]
    observed: dict[str, NDArray[np.float64]]


def measured(ready: Prepared, layout: Layout, shards: list[int], scorer: Scorer) -> Iterator[tuple[int, pa.Table]]:
    """The rows of some shards, scored and observed, in order of completion."""
    spans = (layout.span(shard) for shard in shards)
    tasks = (Task(s, ready.rows.slice(a, b - a)) for s, (a, b) in zip(shards, spans, strict=True))
    work = (ready.source.of(task) for task in tasks)
    job = functools.partial(_see, dataclasses.replace(layout, planes=()), scorer.model.card.crop)
    for seen in processes.each(job, work, ready.source.processes):
        yield seen.shard, scored(seen, scorer)


def _seconds_of_one(ready: Prepared, scorer: Scorer) -> float:
    """Seconds that one injection takes here, by the first of them: all but writing its row."""
    task = Task(0, ready.rows.slice(0, TIMED_ROWS))
    job = functools.partial(_see, dataclasses.replace(ready.layout(TIMED_ROWS), planes=()), scorer.model.card.crop)
    job(ready.source.of(Task(0, ready.rows.slice(0, 1))))  # what is made once is made now
    begun = CLOCK.now()
    scored(job(ready.source.of(task)), scorer)
    return float((CLOCK.now() - begun) / task.rows.num_rows)


def _see(layout: Layout, crop: int, work: tuple[Injections, Task]) -> Seen:
    """Inject and observe one shard, in a process of its own."""
    source, task = work
    cuts = source.cuts(task, layout)
    index = index_of(task.rows, cuts, source, layout)
    usable = np.asarray(index["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)
    psfsize = np.stack([index[f"psfsize_{band}"].to_numpy() for band in source.survey.bands], axis=1).astype(float)
    observed = {name: np.full(len(usable), np.nan) for name in observables.names(source.survey)}
    for name, values in observables.observe(cuts.images[usable], psfsize[usable], source.survey).items():
        observed[name][usable] = values
    start = max(layout.size - crop, 0) // 2
    side = slice(start, start + crop)
    return Seen(task.shard, index, np.ascontiguousarray(cuts.images[usable][:, side, side]), usable, observed)


def scored(seen: Seen, scorer: Scorer) -> pa.Table:
    """The index with scores and observables, as `score` and `observe` would add them."""
    from lensctl.learning.networks.scoring import refuse_scores, with_scores

    logits = np.full((len(seen.usable), scorer.members), np.nan)
    features = np.full((len(seen.usable), scorer.width), np.nan, np.float32)
    logits[seen.usable], features[seen.usable] = scorer.seen(seen.pixels)
    refuse_scores(seen.index, scorer)
    table = with_scores(scorer.model, seen.index, logits, features)
    for name, values in observables.arrays_of(seen.observed, seen.usable).items():
        table = table.append_column(name, values)
    return table


def _refuse_no_folder(output: str) -> None:
    """Raise InputError for an output that is a stream, or is called after a format: it becomes a folder."""
    if output == "-":
        raise InputError("measure writes a folder of parquet files, not a stream", "name a folder")
    suffix = Path(output.rstrip("/")).suffix.lower()
    if suffix in SUFFIXES or suffix in (".gz", ".fz"):
        raise InputError(f"{output} becomes a folder of parquet files, not a {suffix} file", "name it without a suffix")


def _name(part: tuple[int, int] | None) -> str | None:
    return None if part is None else f"{part[0]}-of-{part[1]}"


def _file(shard: int) -> str:
    return f"part-{shard:06d}.parquet"


def _is_finished(output: str, step: Step) -> bool:
    """Whether the output was made by the same job; InputError if it is something else."""
    if not is_complete(output):
        return False
    if not made_by(output, step.id):
        raise exists_error(output)
    return True


def _is_done(place: GrowingFolder, shard: int) -> bool:
    try:
        return int(place.part(_file(shard))) == place.size(_file(shard))
    except (OSError, ValueError):
        return False


def _write(place: GrowingFolder, shard: int, rows: pa.Table) -> None:
    """One file of the output, and the note that it is whole."""
    name = _file(shard)
    with place.scratch() as folder:
        with parquet_writer(str(folder / name), rows.schema) as writer:
            writer.write_table(rows)
        place.settle(folder, [name])
    place.put_part(name, str(place.size(name)).encode())
