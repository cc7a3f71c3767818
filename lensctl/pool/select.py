"""The negatives of one catalogue file: rows that meet the criteria, with all derived columns."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lensctl.astro import geometry
from lensctl.astro.lens_units import DEGREES, SAME_ARCSEC, Lenses
from lensctl.io.tables import sweeps
from lensctl.io.tables.criteria import Criteria, tests_of
from lensctl.pool.funnel import Funnel, classified
from lensctl.rules import derived
from lensctl.rules.acceptance import critical_columns

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


PIECE_ROWS = 32_768


def select(path: str, criteria: Criteria, lenses: Lenses) -> tuple[pa.Table, Funnel]:
    """The negatives of one catalogue file, in the order of its rows.

    Parameters
    ----------
    path : str
        Sweep or Tractor file.
    lenses : Lenses
        To be avoided.

    Raises
    ------
    InputError
        Missing columns, an unreadable file, or a position that is NaN or out of range.
    """
    import pyarrow as pa

    funnel = Funnel()
    scan = sweeps.CatalogScan(path, criteria.survey)
    tables = list(negatives(scan, criteria, lenses, funnel))
    return pa.concat_tables(tables), funnel


def negatives(
    scan: sweeps.CatalogScan,
    criteria: Criteria,
    lenses: Lenses,
    funnel: Funnel,
) -> Iterator[pa.Table]:
    """The same, batch by batch (at least one), counted in the funnel; all columns are read only for rows kept."""
    import pyarrow.compute as pc

    near = {
        str(number): geometry.Neighbourhood(*place, criteria.exclude_arcsec)
        for number, place in enumerate(lenses.places)
        if len(place[0])
    }
    elsewhere = {of: geometry.Neighbourhood(*at, SAME_ARCSEC) for of, at in lenses.readings().items()}
    keep = functools.partial(_keep, scan=scan, criteria=criteria, near=near, funnel=funnel)
    survey = criteria.survey
    for rows in _joined(scan.measured(keep, criteria.columns)):
        table = derived.with_derived(rows, survey)
        funnel.read = scan.read
        funnel.kept += table.num_rows
        for (unit, catalogue), places in elsewhere.items():
            held = places.holds(table["ra"].to_numpy(), table["dec"].to_numpy())
            funnel.in_units.setdefault(unit, Counter())[catalogue] += int(held.sum())
        funnel.nulls += sum(table[name].null_count for name in critical_columns(survey) if name in table.column_names)
        for name in classified(survey):
            if name in table.column_names:
                for count in pc.value_counts(table[name].drop_null()).to_pylist():
                    funnel.counts.setdefault(name, Counter())[count["values"]] += count["counts"]
        yield table


def _joined(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables, at least one."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= PIECE_ROWS:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _keep(
    values: sweeps.Values,
    *,
    scan: sweeps.CatalogScan,
    criteria: Criteria,
    near: Mapping[str, geometry.Neighbourhood],
    funnel: Funnel,
) -> NDArray[np.bool_]:
    """Which rows of a batch meet all criteria; counts the rows each criterion removes."""
    import numpy as np

    sweeps.refuse_bad_positions(scan, values)
    ra, dec = values("ra"), values("dec")
    keep = np.ones(len(ra), bool)
    for name, passed in tests_of(values, criteria).items():
        funnel.lost[name] += int((keep & ~passed).sum())
        keep &= passed
    if near:
        remaining = np.flatnonzero(keep)
        counts = funnel.in_units.setdefault(DEGREES, Counter())
        for catalogue, places in near.items():
            held = places.holds(ra[remaining], dec[remaining])
            counts[catalogue] += int(held.sum())
            keep[remaining[held]] = False
        funnel.lost["near a lens"] += len(remaining) - int(keep.sum())
    return keep
