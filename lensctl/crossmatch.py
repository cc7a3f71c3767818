"""Positives: lens candidates matched to the catalogue objects their cutouts are centred on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.doors import sweeps
from lensctl.doors.lens_catalogs import TIERS
from lensctl.words import derived, geometry, schema, strata
from lensctl.words.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pyarrow as pa

FOOTPRINT_ARCSEC = 60.0  # nothing catalogued this near: the files given do not cover the place


@dataclass(frozen=True)
class Lenses:
    """Lens candidates, one per sky object, and what became of the catalogue's rows on the way."""

    rows: pa.Table
    selected: int
    merged: int
    ungraded: int


@dataclass(frozen=True)
class Matched:
    """Positives, the candidates that matched nothing (with the reason), and objects matched by two of them."""

    positives: pa.Table
    unmatched: pa.Table
    shared: int


def select(catalog: pa.Table, *, name_contains: str = "DESI-", merge_arcsec: float = 3.0) -> Lenses:
    """Candidates of a lens catalogue that have a tier, duplicates merged.

    Rows within `merge_arcsec` of each other are one object: the best grade (first in the catalogue among equals)
    gives position and reference, all names are kept, joined by |.

    Raises InputError where no row is left.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if name_contains and catalog["name"].null_count < catalog.num_rows:
        catalog = catalog.filter(pc.fill_null(pc.match_substring(catalog["name"], name_contains), False))
        if catalog.num_rows == 0:
            raise InputError(
                f"no row of the lens catalogue has a name with '{name_contains}'", "give another --name-contains, or ''"
            )
    selected = catalog.num_rows
    tiers = [TIERS.get((grade or "").strip()) for grade in catalog["grading"].to_pylist()]
    graded = np.array([tier is not None for tier in tiers], bool)
    if not graded.any():
        raise InputError("no row of the lens catalogue is graded confident, probable, A or B", "see column 'grading'")
    catalog = catalog.append_column("tier", pa.array(tiers, pa.string())).filter(pa.array(graded))
    labels = geometry.groups_within(catalog["ra"].to_numpy(), catalog["dec"].to_numpy(), merge_arcsec)
    order = np.lexsort((np.arange(len(labels)), catalog["tier"].to_numpy(zero_copy_only=False).astype("U1"), labels))
    first = order[np.r_[True, np.diff(labels[order]) > 0]]  # the best of each group
    names = _joined(catalog["name"].to_pylist(), labels)
    rows = catalog.take(pa.array(first)).append_column("names", pa.array(names, pa.string()))
    return Lenses(rows, selected, int(graded.sum()) - len(first), int((~graded).sum()))


def _joined(names: Sequence[str | None], labels: np.ndarray) -> list[str]:
    groups: dict[int, dict[str, None]] = {}
    for name, label in zip(names, labels, strict=True):
        groups.setdefault(int(label), {}).update(dict.fromkeys((name or "").split("|")))
    return ["|".join(filter(None, groups[label])) for label in sorted(groups)]


def crossmatch(
    lenses: pa.Table,
    files: Sequence[str],
    *,
    radius_arcsec: float = 5.0,
    tier_b_weight: float = 0.5,
    advance: Callable[[int], None] = lambda done: None,
) -> Matched:
    """Match each candidate to the nearest catalogue object.

    Parameters
    ----------
    lenses : pa.Table
        `Lenses.rows`: one row per candidate.
    files : sequence of str
        Sweep or Tractor files; two columns of each are read whole, the rest only for the matches.
    radius_arcsec : float
        Farthest match.
    tier_b_weight : float
        `sample_weight` of tier B; tier A has 1.

    Returns
    -------
    Matched
        Positives carry the pool's columns, centred on the catalogue object; sorted by galaxy_id. An object that
        two candidates match is one positive, of the better tier, with both names.

    Raises
    ------
    InputError
        A file that is none, lacks columns or has bad positions; no match at all.
    """
    import numpy as np

    if not 0.3 <= tier_b_weight <= 0.6:
        raise InputError(f"tier_b_weight is {tier_b_weight:g}", "the plan allows 0.3 to 0.6")
    ra, dec = lenses["ra"].to_numpy(), lenses["dec"].to_numpy()
    best = np.full(len(ra), np.inf)
    where: list[tuple[str, int] | None] = [None] * len(ra)
    for file in files:
        sweeps.require_columns(file, derived.REQUIRED)
        objects = sweeps.read(file, ("ra", "dec"))
        schema.refuse_bad_positions(objects, file)
        index, separation = geometry.nearest(ra, dec, objects["ra"].to_numpy(), objects["dec"].to_numpy())
        rows = objects["row_index"].to_numpy()
        for i in np.flatnonzero(separation < best):
            best[i], where[i] = separation[i], (file, int(rows[index[i]]))
        advance(1)
    near = best <= radius_arcsec
    if not near.any():
        raise InputError(
            f"no lens lies within {radius_arcsec:g} arcsec of a catalogue object", "do the files cover them?"
        )
    positives, shared = _merge(lenses, where, best, near, tier_b_weight)
    return Matched(positives, _unmatched(lenses, best, near, radius_arcsec), shared)


def _merge(
    lenses: pa.Table,
    where: Sequence[tuple[str, int] | None],
    separation: np.ndarray,
    near: np.ndarray,
    tier_b_weight: float,
) -> tuple[pa.Table, int]:
    """Catalogue rows of the matches with what the lens catalogue says of them, one row per object."""
    import pyarrow as pa

    candidates = lenses.to_pylist()
    by_object: dict[tuple[str, int], list[int]] = {}
    for i, place in enumerate(where):
        if place is not None and near[i]:
            by_object.setdefault(place, []).append(i)
    tables = []
    for file in sorted({file for file, _ in by_object}):
        rows = sorted(row for f, row in by_object if f == file)
        objects = sweeps.read(file, (*derived.REQUIRED, *derived.OPTIONAL), rows)
        groups = [by_object[file, row] for row in rows]
        chosen = [min(group, key=lambda i: (candidates[i]["tier"], separation[i], i)) for group in groups]
        tiers = [candidates[i]["tier"] for i in chosen]
        for name, values in {
            "lens_ra": [candidates[i]["ra"] for i in chosen],
            "lens_dec": [candidates[i]["dec"] for i in chosen],
            "sep_arcsec": [float(separation[i]) for i in chosen],
            "names": ["|".join(filter(None, (candidates[i]["names"] for i in group))) for group in groups],
            "ref": [candidates[i]["ref"] for i in chosen],
            "grading": [candidates[i]["grading"] for i in chosen],
            "tier": tiers,
            "sample_weight": [1.0 if tier == "A" else tier_b_weight for tier in tiers],
        }.items():
            objects = objects.append_column(name, pa.array(values))
        tables.append(derived.with_derived(objects))
    positives = pa.concat_tables(tables, promote_options="default").sort_by("galaxy_id")
    kinds, bins = positives["type"].to_pylist(), positives["nobs_z_bin"].to_pylist()
    lacking = [kind not in strata.TYPES or bin in (None, "1-2") for kind, bin in zip(kinds, bins, strict=True)]
    shared = sum(len(group) - 1 for group in by_object.values())
    return positives.append_column("unstratified", pa.array(lacking)), shared


def _unmatched(lenses: pa.Table, separation: np.ndarray, near: np.ndarray, radius_arcsec: float) -> pa.Table:
    import pyarrow as pa

    reasons = [
        f"nearest object at {sep:.1f} arcsec, beyond {radius_arcsec:g}"
        if sep <= FOOTPRINT_ARCSEC
        else "outside the footprint of the files given"
        for sep in separation[~near]
    ]
    return lenses.filter(pa.array(~near)).append_column("reason", pa.array(reasons, pa.string()))


def summary(positives: pa.Table) -> Counter[tuple[str, str, str]]:
    """How many positives of each (tier, type, nobs_z bin)."""
    columns = (positives[name].to_pylist() for name in ("tier", "type", "nobs_z_bin"))
    return Counter(zip(*columns, strict=True))
