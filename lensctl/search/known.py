"""Known lenses: which of them a search has in its list, which not and why, and its recall of them by tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro import geometry
from lensctl.astro.sky_area import Area
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Input, chain_of, step_input
from lensctl.io.tables.lens_catalogs import GRADES, NO_LENS, TIERS, grade_of, read_lens_catalog
from lensctl.rules.quality import OK
from lensctl.rules.split import healpix
from lensctl.rules.survey import Survey
from lensctl.stats.shares import share_of_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LISTED, BELOW, UNSCORED, NO_ROW, OUTSIDE = (
    "in the list",
    "scored below the list",
    "its rows have no score",
    "no row at its place",
    "outside the searched area",
)
"""What became of a known lens."""


@dataclass(frozen=True)
class KnownLenses:
    """Lenses of some catalogues, duplicates merged: names and references joined by |, best tier ("" without one)."""

    names: tuple[str, ...]
    tiers: tuple[str, ...]
    refs: tuple[str, ...]
    ra: Floats
    dec: Floats

    def __len__(self) -> int:
        return len(self.names)


def known_of(catalog: pa.Table, merge_arcsec: float) -> KnownLenses:
    """The lenses of a catalogue, as `read_lens_catalog` gives it, without inspected non-lenses.

    Those within `merge_arcsec` of each other are one, at the place of the best graded, the first among equals.
    """
    grades = [grade_of(text) or "" for text in catalog["grading"].to_pylist()]
    rank = {grade: number for number, grade in enumerate((*GRADES, ""))}
    lens = np.flatnonzero([grade != NO_LENS for grade in grades])
    ra, dec = (np.asarray(catalog[axis].to_numpy(), np.float64)[lens] for axis in ("ra", "dec"))
    groups = geometry.groups_within(ra, dec, merge_arcsec)
    texts = {name: catalog[name].to_pylist() for name in ("name", "ref")}
    order = np.lexsort((np.arange(len(lens)), np.array([rank[grades[row]] for row in lens], int), groups))
    best = order[np.r_[True, np.diff(groups[order]) > 0]] if len(lens) else order
    joined: dict[str, list[dict[str, None]]] = {name: [{} for _ in best] for name in texts}
    for row, group in zip(lens.tolist(), groups.tolist(), strict=True):
        for name, values in texts.items():
            joined[name][group].update(dict.fromkeys(filter(None, (values[row] or "").split("|"))))
    names, refs = (tuple("|".join(of) for of in joined[name]) for name in ("name", "ref"))
    return KnownLenses(names, tuple(grades[lens[k]] for k in best), refs, ra[best], dec[best])


def read_known(paths: Sequence[str], survey: Survey) -> tuple[KnownLenses, tuple[Input, ...]]:
    """The lenses of some catalogue files, and the files as inputs of a step."""
    import pyarrow as pa

    catalogs = [read_lens_catalog(path) for path in paths]
    sources = tuple(
        step_input("lenses", path, digests.of_table(catalog), chain_of(catalog, path))
        for path, catalog in zip(paths, catalogs, strict=True)
    )
    plain = [catalog.replace_schema_metadata() for catalog in catalogs]
    return known_of(pa.concat_tables(plain), survey.merge_arcsec), sources


class Sightings:
    """What the rows at the places of known lenses say, gathered part by part of the sky.

    Parameters
    ----------
    lenses : KnownLenses
    match_arcsec : float
        A row nearer than this is at the place of a lens.
    """

    def __init__(self, lenses: KnownLenses, match_arcsec: float) -> None:
        self.lenses, self._match = lenses, match_arcsec
        self.logit = np.full(len(lenses), -np.inf)
        self.statuses: list[dict[str, None]] = [{} for _ in range(len(lenses))]

    def add(self, rows: pa.Table) -> None:
        """Add scored rows."""
        lens, row, _ = geometry.pairs_within(
            self.lenses.ra, self.lenses.dec, rows["ra"].to_numpy(), rows["dec"].to_numpy(), self._match
        )
        few = rows.take(row)
        logits = np.asarray(few["logit"].fill_null(-np.inf).to_numpy(), np.float64)
        np.maximum.at(self.logit, lens, logits)
        for which, status in zip(lens.tolist(), few["status"].to_pylist(), strict=True):
            self.statuses[which][status] = None


def named(candidates: pa.Table, lenses: KnownLenses, match_arcsec: float) -> list[dict[str, Any]]:
    """The nearest known lens at the place of each candidate: its columns of the list, None where there is none."""
    lens, row, sep = geometry.pairs_within(
        lenses.ra, lenses.dec, candidates["ra"].to_numpy(), candidates["dec"].to_numpy(), match_arcsec
    )
    found: list[dict[str, Any]] = [
        dict.fromkeys(("known_lens", "known_tier", "known_ref", "known_sep_arcsec")) for _ in range(candidates.num_rows)
    ]
    for at in np.argsort(-sep, kind="stable"):  # the nearest last
        which = int(lens[at])
        found[int(row[at])] = {
            "known_lens": lenses.names[which] or "unnamed",
            "known_tier": lenses.tiers[which] or None,
            "known_ref": lenses.refs[which] or None,
            "known_sep_arcsec": float(sep[at]),
        }
    return found


def fates(seen: Sightings, candidates: pa.Table, area: Area, match_arcsec: float) -> pa.Table:
    """What became of each known lens.

    Parameters
    ----------
    candidates : pa.Table
        Every candidate, one row each, with `rank` of its system.

    Returns
    -------
    pa.Table
        name, ra, dec, tier, ref, fate, rank in the list, highest logit and statuses of the rows at its place.
    """
    import pyarrow as pa

    lenses = seen.lenses
    ranks: list[int | None] = [None] * len(lenses)
    lens, row, _ = geometry.pairs_within(
        lenses.ra, lenses.dec, candidates["ra"].to_numpy(), candidates["dec"].to_numpy(), match_arcsec
    )
    of_candidates = candidates["rank"].to_pylist()
    for which, at in zip(lens.tolist(), row.tolist(), strict=True):
        ranks[which] = min(filter(None, (ranks[which], of_candidates[at])))
    inside = (area.holds(lenses.ra, lenses.dec) if len(lenses) else np.zeros(0, bool)) | np.isfinite(seen.logit)
    fate = [
        LISTED
        if ranks[k] is not None
        else BELOW
        if np.isfinite(seen.logit[k])
        else UNSCORED
        if seen.statuses[k]
        else NO_ROW
        if inside[k]
        else OUTSIDE
        for k in range(len(lenses))
    ]
    logits = [float(value) if np.isfinite(value) else None for value in seen.logit]
    return pa.table(
        {
            "name": pa.array(list(lenses.names), pa.string()),
            "ra": pa.array(lenses.ra, pa.float64()),
            "dec": pa.array(lenses.dec, pa.float64()),
            "tier": pa.array([tier or None for tier in lenses.tiers], pa.string()),
            "ref": pa.array([ref or None for ref in lenses.refs], pa.string()),
            "fate": pa.array(fate, pa.string()),
            "rank": pa.array(ranks, pa.int64()),
            "logit": pa.array(logits, pa.float64()),
            "status": pa.array([", ".join(s for s in of if s != OK) or None for of in seen.statuses], pa.string()),
            "in_searched_area": pa.array(inside.tolist(), pa.bool_()),
        }
    )


def recall(found: pa.Table, unseen: NDArray[np.bool_], thresholds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Recall of known lenses inside the searched area, by tier, each with its interval.

    Parameters
    ----------
    found : pa.Table
        By `fates`.
    unseen : (L,) bool
        Which lenses lie where the model was not trained.
    thresholds : mapping
        Logit by name of each threshold.

    Returns
    -------
    list of dict
        tier, lenses (`all` or `unseen`), at (`the list`, or a threshold's name) and the figure: a lens is found if a
        row within the matching radius is. Lenses without a row, or without a score, are missed.
    """
    inside = np.array(found["in_searched_area"].to_pylist(), bool)
    tiers = np.array([tier or "" for tier in found["tier"].to_pylist()])
    pixel = healpix(found["ra"].to_numpy(), found["dec"].to_numpy())
    listed = np.array([fate == LISTED for fate in found["fate"].to_pylist()], bool)
    logit = np.array([-np.inf if value is None else value for value in found["logit"].to_pylist()])
    taken = {"the list": listed, **{name: logit >= limit for name, limit in thresholds.items()}}
    figures = []
    for tier in TIERS:
        for which, chosen in (("all", inside & (tiers == tier)), ("unseen", inside & (tiers == tier) & unseen)):
            for name, of in taken.items():
                share = share_of_rows(of[chosen], pixel[chosen])
                figures.append({"tier": tier, "lenses": which, "at": name, **share.as_dict()})
    return figures
