"""From the scores of all blocks to the finished folder: partitions, candidates, coverage, known lenses, report."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro.sky_area import CellCounts
from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.store import Store
from lensctl.io.fits.moc import write_moc
from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.imaging.making import make
from lensctl.io.provenance.steps import Chain, stamp
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import LensctlError
from lensctl.rules.quality import OK
from lensctl.search import hats, known, summary
from lensctl.search.blocks import Block, NothingScored, Scores, results_schema
from lensctl.search.known import KnownLenses, Sightings
from lensctl.search.merging import Totals, partitions, refuse_repeated
from lensctl.search.null import GivenNull, Searched, with_q
from lensctl.search.report import page
from lensctl.search.rows import Plan
from lensctl.search.top import Top, Wanted, leading, ranked, systems
from lensctl.search.training import Training
from lensctl.stats.calibration import logistic

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

STORE = "candidates.zarr"
SHARD_ROWS = 256
SCORED_AT_ONCE = 256


@dataclass(frozen=True)
class Finish:
    """All that the finished folder is made from.

    Parameters
    ----------
    points : sequence of mapping
        Thresholds of the frozen model.
    lenses : KnownLenses, optional
        None: no catalogue was given.
    null : GivenNull, optional
        None: candidates get no q-values.
    rescorer : Scores
        The model on the CPU.
    is_hats : bool
        Make a HATS catalogue of the scores.
    """

    name: str
    source: CoaddSource
    crop: int
    chain: Chain
    plans: Sequence[Plan]
    blocks: Sequence[Block]
    points: Sequence[Mapping[str, Any]]
    wanted: Wanted
    training: Training
    lenses: KnownLenses | None
    null: GivenNull | None
    rescorer: Scores
    model: str
    model_digest: str
    is_hats: bool = False

    @property
    def thresholds(self) -> dict[str, float]:
        """Logit of each threshold that was resolved, by name."""
        return {str(point["name"]): point["logit"] for point in self.points if point["logit"] is not None}


def finish(place: GrowingFolder, work: Finish) -> dict[str, Any]:
    """Make the finished folder of a search whose blocks are all done; returns its summary.

    Raises
    ------
    InputError
        No row has a score, or an id stands in two rows.
    LensctlError
        Candidates could not be cut again.
    """
    with place.scratch() as folder:
        for left in folder.iterdir():  # by a run that was killed here
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        made = _write(place, folder, work)
        names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        place.settle(folder, names)
    place.finish()
    return made


def _write(place: GrowingFolder, folder: Path, work: Finish) -> dict[str, Any]:
    survey = work.source.survey
    totals = _scores(place, folder, work)
    area = totals.cells.area()
    for name, cells in {"searched": area.searched, "lost": area.lost}.items():
        write_moc(folder / f"{name}.moc.fits", cells, area.order)
    candidates = systems(_candidates(folder, totals.top.rows(), work))
    candidates = _with_known(candidates, work.lenses, survey.match_arcsec)
    candidates, told = with_q(candidates, work.null, totals.searched)
    lenses, recall = None, list[dict[str, Any]]()
    if work.lenses is not None:
        lenses = known.fates(totals.sightings, candidates, area, survey.match_arcsec)
        recall = known.recall(lenses, _unseen(lenses, work.training), work.thresholds)
        write_table(stamp(lenses, work.chain), str(folder / "known_lenses.parquet"))
    _lists(folder, leading(candidates), work.chain)
    about = {"model": work.model, "model_digest": work.model_digest}
    made = summary.summary_of(
        totals,
        area,
        work.plans,
        work.points,
        candidates,
        work.chain,
        lenses=lenses,
        recall=recall,
        false_discovery=told,
        **about,
    )
    text = json.dumps(made, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    (folder / summary.SUMMARY).write_text(text + "\n", encoding="utf-8")
    page.write(folder, made, area, leading(candidates), lenses, survey)
    return made


def _scores(place: GrowingFolder, folder: Path, work: Finish) -> Totals:
    """Write the scores, partition by partition."""
    rows = sum(plan.rows for plan in work.plans)
    lenses = work.lenses or KnownLenses((), (), (), np.zeros(0), np.zeros(0))
    sightings = Sightings(lenses, work.source.survey.match_arcsec)
    searched = None if work.null is None else Searched(work.null, work.source.survey)
    totals = Totals(CellCounts(rows), Top(work.wanted), sightings, work.thresholds, searched)
    of_block = results_schema(work.source.survey, work.rescorer.members)
    counts: dict[int, int] = {}
    columns = None
    parts = functools.partial(partitions, place, work.blocks, place.parts(), of_block, work.training, work.name)
    for pixel, table in parts():
        stamped = stamp(table, work.chain)
        hats.write_pixel(folder / "scores", pixel, stamped)
        totals.add(table)
        counts[pixel], columns = table.num_rows, stamped.schema
    if (twice := totals.twice()).size:
        refuse_repeated((table for _, table in parts()), twice, work.name)
    if totals.rows != rows:
        raise RuntimeError(f"{totals.rows} rows were searched of {rows}")
    if not totals.statuses[OK]:
        why = ", ".join(f"{count:,} {status}" for status, count in totals.statuses.most_common())
        raise NothingScored(f"none of {rows:,} rows could be scored: {why}", "is --root that of the table's coadds?")
    if work.is_hats:
        hats.write_catalogue(folder / "scores", counts, columns, work.name)
    return totals


def _candidates(folder: Path, rows: pa.Table, work: Finish) -> pa.Table:
    """Rows cut again at full size into a store and scored again, in order of these logits; those of the list."""
    import pyarrow as pa

    logits = np.zeros((0, work.rescorer.members))
    if rows.num_rows:
        store = _cut(folder / STORE, rows, work)
        parts = np.arange(store.n)
        blocks = np.split(parts, range(SCORED_AT_ONCE, store.n, SCORED_AT_ONCE))
        logits = np.concatenate([work.rescorer.member_logits(store.read(block, crop=work.crop)) for block in blocks])
    mean = logits.mean(axis=1)
    names = [name for name in rows.column_names if name.startswith("logit_")]
    again: dict[str, NDArray[np.float64]] = {"logit": mean, "p": np.asarray(logistic(mean))}
    again |= {name: logits[:, k] for k, name in enumerate(names)}
    for name, values in again.items():
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, pa.float64()))
    rows = rows.append_column("cutout_path", pa.array([STORE] * rows.num_rows, pa.string()))
    rows = rows.append_column("cutout_index", pa.array(np.arange(rows.num_rows), pa.int64()))
    return rows.take(pa.array(work.wanted.final(mean, ranked(rows, mean))))


def _cut(path: Path, rows: pa.Table, work: Finish) -> Store:
    layout = Layout(rows.num_rows, work.source.size, work.source.survey.bands, SHARD_ROWS)
    wanted = [name for name in rows.column_names if not name.startswith(("logit", "status", "error", "p"))]
    made = make(rows.select(wanted), str(path), work.source, layout, work.chain)
    assert made.store is not None
    failed = {status: count for status, count in made.statuses.items() if status != OK}
    if failed:
        why = ", ".join(f"{count} {status}" for status, count in failed.items())
        raise LensctlError(
            f"{sum(failed.values())} of {rows.num_rows} candidates could not be cut again: {why}",
            "rerun the command once the coadds are as they were",
        )
    return made.store


def _with_known(candidates: pa.Table, lenses: KnownLenses | None, match_arcsec: float) -> pa.Table:
    """Candidates with the known lens of their system, of all its members the nearest."""
    import pyarrow as pa

    nothing = KnownLenses((), (), (), np.zeros(0), np.zeros(0))
    found = known.named(candidates, lenses or nothing, match_arcsec)
    ranks = candidates["rank"].to_pylist()
    of_system: dict[int, dict[str, Any]] = {}
    for rank, one in zip(ranks, found, strict=True):
        best = of_system.get(rank)
        if best is None or (one["known_sep_arcsec"] or np.inf) < (best["known_sep_arcsec"] or np.inf):
            of_system[rank] = one
    kinds = {"known_lens": pa.string(), "known_tier": pa.string(), "known_ref": pa.string()}
    for name in (*kinds, "known_sep_arcsec"):
        values = [of_system[rank][name] for rank in ranks]
        candidates = candidates.append_column(name, pa.array(values, kinds.get(name, pa.float64())))
    front = ["rank", "galaxy_id", "region", "ra", "dec", "logit", "p", *kinds, "known_sep_arcsec", "seen_in_training"]
    return candidates.select([*front, *(name for name in candidates.column_names if name not in front)])


def _unseen(lenses: pa.Table, training: Training) -> NDArray[np.bool_]:
    """Which lenses lie where the model was not trained, cutout and all."""
    from lensctl.rules.split import healpix

    ra, dec = lenses["ra"].to_numpy(), lenses["dec"].to_numpy()
    by_place = dataclasses.replace(training, ids={})
    seen = by_place.seen(lenses["name"].to_pylist(), ra, dec, healpix(ra, dec))
    return np.array([why is None for why in seen.tolist()], bool)


def _lists(folder: Path, leaders: pa.Table, chain: Chain) -> None:
    """The list of candidates in three formats (FITS strings are ASCII), and as regions."""
    write_table(stamp(leaders, chain), str(folder / "candidates.parquet"))
    write_table(stamp(leaders, chain), str(folder / "candidates.vot"))
    write_table(stamp(in_ascii(leaders), chain), str(folder / "candidates.fits"))
    write_table(leaders, str(folder / "candidates.reg"))


def in_ascii(table: pa.Table) -> pa.Table:
    """A table whose texts have letters without their marks, and ? for any other that is not ASCII."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            texts = [
                None
                if text is None
                else unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() or "?"
                if not text.isascii()
                else text
                for text in table[field.name].to_pylist()
            ]
            table = table.set_column(place, field, pa.array(texts, pa.string()))
    return table
