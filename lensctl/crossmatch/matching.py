"""Positives: lens candidates matched to the catalogue objects on which their cutouts are centred."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.astro import geometry
from lensctl.io import workers
from lensctl.io.tables import sweeps
from lensctl.rules import derived, schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FOOTPRINT_ARCSEC = 60.0  # no catalogue object within this radius: outside the files' footprint


@dataclass(frozen=True)
class Matched:
    """Positives; candidates without a stratified positive, with the reason; and how many share an object.

    A candidate whose object has a type or bin of exposures without negatives is a positive (`unstratified`) and is
    listed in `unmatched` as well. `digests` are those of the catalogue files.
    """

    positives: pa.Table
    unmatched: pa.Table
    shared: int
    digests: tuple[str, ...] = ()


def match(
    lenses: pa.Table,
    files: Sequence[str],
    *,
    survey: Survey = LS_DR10,
    radius_arcsec: float | None = None,
    tier_b_weight: float = 0.5,
    count: int | None = 1,
    advance: Callable[[int], None] = lambda done: None,
) -> Matched:
    """Match each candidate to the nearest catalogue object.

    Parameters
    ----------
    lenses : pa.Table
        `Lenses.rows`: one row per candidate.
    files : sequence of str
        Sweep or Tractor files; each is read once, skipping objects far from every candidate.
    survey : Survey
    radius_arcsec : float, optional
        Match radius; default the survey's.
    tier_b_weight : float
        `sample_weight` of tier B; tier A has 1.
    count : int, optional
        Processes; None is one per core.

    Returns
    -------
    Matched
        Positives have the pool's columns and the position of the catalogue object, sorted by galaxy_id. If two
        candidates match one object, they become one positive of the better tier, with both names.

    Raises
    ------
    InputError
        An unreadable file, missing columns, bad positions, or no match at all.
    """
    import numpy as np

    if not 0.3 <= tier_b_weight <= 0.6:
        raise InputError(f"tier_b_weight is {tier_b_weight:g}", "it must be between 0.3 and 0.6")
    radius_arcsec = survey.match_arcsec if radius_arcsec is None else radius_arcsec
    ra, dec = lenses["ra"].to_numpy(), lenses["dec"].to_numpy()
    job = functools.partial(_near, ra=ra, dec=dec, radius_arcsec=radius_arcsec, survey=survey)
    found: dict[str, Neighbours] = {}
    for neighbours in workers.each(job, files, count):
        found[neighbours.file] = neighbours
        advance(1)
    best = np.full(len(ra), np.inf)
    where: list[tuple[str, int] | None] = [None] * len(ra)
    for file in files:  # of equally near objects the one in the first file is taken
        near = found[file]
        for i in np.flatnonzero(near.separation < best):
            best[i] = near.separation[i]
            where[i] = (file, int(near.row[i])) if near.row[i] >= 0 else None
    matches = np.array([place is not None for place in where], bool)
    if not matches.any():
        raise InputError(
            f"no lens lies within {radius_arcsec:g} arcsec of a catalogue object: {len(ra)} lenses, "
            f"ra {ra.min():.1f} to {ra.max():.1f}, dec {dec.min():.1f} to {dec.max():.1f}",
            "check that the files cover the lenses, whose ra and dec must be in degrees",
        )
    positives, object_of, shared = _merge(lenses, where, best, found, tier_b_weight, survey)
    unmatched = _unmatched(lenses, best, object_of, positives, radius_arcsec, survey)
    return Matched(positives, unmatched, shared, tuple(found[file].digest for file in files))


@dataclass(frozen=True)
class Neighbours:
    """Objects of one catalogue file near the candidates.

    Attributes
    ----------
    separation : (L,) float64
        Of each candidate to the nearest object, arcsec; infinite if there is none within reach.
    row : (L,) int64
        Row in `objects` that a candidate may match; -1 if there is none.
    objects : pa.Table
        The matching objects.
    digest : str
        SHA-256 of the file.
    """

    file: str
    separation: NDArray[np.float64]
    row: NDArray[np.int64]
    objects: pa.Table
    digest: str


def _near(
    file: str, ra: NDArray[np.float64], dec: NDArray[np.float64], radius_arcsec: float, survey: Survey
) -> Neighbours:
    """The nearest object of one file to each candidate."""
    import numpy as np
    import pyarrow as pa

    reach = max(FOOTPRINT_ARCSEC, radius_arcsec)
    places = geometry.Neighbourhood(ra, dec, reach)
    scan = sweeps.CatalogScan(file, survey)

    def keep(values: sweeps.Values) -> NDArray[np.bool_]:
        sweeps.refuse_bad_positions(scan, values)
        return places.may_hold(values("ra"), values("dec"))

    objects = pa.concat_tables(list(scan.measured(keep)))
    index, separation = geometry.nearest(ra, dec, objects["ra"].to_numpy(), objects["dec"].to_numpy())
    separation = np.where(separation <= reach, separation, np.inf)
    matching = np.flatnonzero(separation <= radius_arcsec)
    chosen, numbers = np.unique(index[matching], return_inverse=True)
    row = np.full(len(ra), -1, np.int64)
    row[matching] = numbers
    return Neighbours(file, separation, row, objects.take(pa.array(chosen)), scan.digest)


def _merge(
    lenses: pa.Table,
    where: Sequence[tuple[str, int] | None],
    separation: NDArray[np.float64],
    found: Mapping[str, Neighbours],
    tier_b_weight: float,
    survey: Survey,
) -> tuple[pa.Table, list[str | None], int]:
    """Catalogue rows of the matches with the columns of the lens catalogue, one row per object.

    Returns these rows, the id of each candidate's object, and how many candidates share another's object.
    """
    import pyarrow as pa

    candidates = lenses.to_pylist()
    by_object: dict[tuple[str, int], list[int]] = {}
    for i, place in enumerate(where):
        if place is not None:
            by_object.setdefault(place, []).append(i)
    tables = []
    object_of: list[str | None] = [None] * len(candidates)
    for file in sorted({file for file, _ in by_object}):
        rows = sorted(row for f, row in by_object if f == file)
        objects = found[file].objects.take(pa.array(rows, pa.int64()))
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
            objects = objects.append_column(name, pa.array(values, schema.arrow_type(name)))
        table = derived.with_derived(objects, survey)
        tables.append(table)
        for id, group in zip(table["galaxy_id"].to_pylist(), groups, strict=True):
            for i in group:
                object_of[i] = id
    positives = pa.concat_tables(tables, promote_options="default").sort_by("galaxy_id")
    unstratified = [reason is not None for reason in _reasons(positives, survey)]
    shared = sum(len(group) - 1 for group in by_object.values())
    return positives.append_column("unstratified", pa.array(unstratified)), object_of, shared


def _reasons(positives: pa.Table, survey: Survey) -> list[str | None]:
    """Why each positive has no stratum with negatives; None if it has one."""
    reasons: list[str | None] = [None] * positives.num_rows
    for name, values in survey.strata.items():
        if name not in positives.column_names:
            continue
        shown = name.replace("_bin", " bin")
        for row, value in enumerate(positives[name].to_pylist()):
            if value not in values:
                none = "0" if name == survey.nobs_bin else "unknown"
                reasons[row] = f"{shown} {none if value is None else value} has no stratum"
    return reasons


def _unmatched(
    lenses: pa.Table,
    separation: NDArray[np.float64],
    object_of: Sequence[str | None],
    positives: pa.Table,
    radius_arcsec: float,
    survey: Survey,
) -> pa.Table:
    """Every candidate without a stratified positive, with the reason and its object, if any."""
    import numpy as np
    import pyarrow as pa

    reason_of = dict(zip(positives["galaxy_id"].to_pylist(), _reasons(positives, survey), strict=True))
    reasons: list[str | None] = []
    for id, sep in zip(object_of, separation, strict=True):
        if id is not None:
            reasons.append(reason_of[id])
        elif sep <= FOOTPRINT_ARCSEC:
            reasons.append(f"nearest object at {sep:.1f} arcsec, beyond {radius_arcsec:g}")
        else:
            reasons.append("outside the footprint of the files given")
    finite = [None if np.isinf(sep) else float(sep) for sep in separation]
    listed = lenses.append_column("sep_arcsec", pa.array(finite, pa.float64()))
    listed = listed.append_column("galaxy_id", pa.array(object_of, pa.string()))
    listed = listed.append_column("reason", pa.array(reasons, pa.string()))
    return listed.filter(listed["reason"].is_valid())


def summary(positives: pa.Table, survey: Survey = LS_DR10) -> Counter[tuple[str, str, str]]:
    """Number of positives for each (tier, type, bin of exposures); a column that is not there counts as None."""
    blank = [None] * positives.num_rows
    columns = (
        positives[name].to_pylist() if name in positives.column_names else blank
        for name in ("tier", "type", survey.nobs_bin)
    )
    return Counter(zip(*columns, strict=True))
