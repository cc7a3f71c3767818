"""The negatives of one catalogue file: rows that meet the criteria, with all derived columns."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lensctl.astro import geometry, lens_units
from lensctl.io.tables import sweeps
from lensctl.pool.criteria import Criteria, tests_of
from lensctl.pool.funnel import Funnel, classified
from lensctl.rules import derived
from lensctl.rules.acceptance import critical_columns

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


PIECE_ROWS = 32_768


def select(
    path: str, criteria: Criteria, lens_ra: NDArray[np.float64], lens_dec: NDArray[np.float64]
) -> tuple[pa.Table, Funnel]:
    """The negatives of one catalogue file, in the order of its rows.

    Parameters
    ----------
    path : str
        Sweep or Tractor file.
    lens_ra, lens_dec : (L,) float64
        Positions of lenses to avoid, degrees.

    Raises
    ------
    InputError
        Missing columns, an unreadable file, or a position that is NaN or out of range.
    """
    import pyarrow as pa

    funnel = Funnel()
    scan = sweeps.CatalogScan(path, criteria.survey)
    tables = list(negatives(scan, criteria, lens_ra, lens_dec, funnel))
    return pa.concat_tables(tables), funnel


def negatives(
    scan: sweeps.CatalogScan,
    criteria: Criteria,
    lens_ra: NDArray[np.float64],
    lens_dec: NDArray[np.float64],
    funnel: Funnel,
) -> Iterator[pa.Table]:
    """The same, batch by batch (at least one), counted in the funnel; all columns are read only for rows kept."""
    import pyarrow.compute as pc

    near = geometry.Neighbourhood(lens_ra, lens_dec, criteria.exclude_arcsec) if len(lens_ra) else None
    readings = lens_units.other_readings(lens_ra, lens_dec)
    elsewhere = {unit: geometry.Neighbourhood(*at, lens_units.SAME_ARCSEC) for unit, at in readings.items()}
    keep = functools.partial(_keep, scan=scan, criteria=criteria, near=near, funnel=funnel)
    survey = criteria.survey
    for rows in _joined(scan.measured(keep, criteria.columns)):
        table = derived.with_derived(rows, survey)
        funnel.read = scan.read
        funnel.kept += table.num_rows
        for unit, places in elsewhere.items():
            funnel.in_units[unit] += int(places.holds(table["ra"].to_numpy(), table["dec"].to_numpy()).sum())
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
    near: geometry.Neighbourhood | None,
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
    if near is not None:
        remaining = np.flatnonzero(keep)
        keep[remaining[near.holds(ra[remaining], dec[remaining])]] = False
        funnel.lost["near a lens"] += len(remaining) - int(keep.sum())
    return keep
