"""psfsize of each row of a table in each band, from wherever the table or the store of its cutouts has it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules import schema
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.cutouts.store import Store
    from lensctl.rules.survey import Survey

PLANE = "psfsize"
PLANE_ROWS = 64


def psf_sizes(
    table: pa.Table,
    store: Store,
    rows: NDArray[np.int64],
    needed: NDArray[np.bool_],
    survey: Survey,
    where: str,
) -> NDArray[np.float64]:
    """The first of the table's psfsize_BAND and meta_psfsize_BAND, those of the store's index, and its psfsize planes.

    Parameters
    ----------
    table : pa.Table
        N rows.
    store : Store
    rows : (N,) int
        Their rows in the store.
    needed : (N,) bool
        Rows for which a psfsize must be known.

    Returns
    -------
    (N, B) float64
        Arcsec; NaN where it is not known.

    Raises
    ------
    InputError
        A row that needs one has none above 0.
    """
    import pyarrow as pa

    found = np.full((table.num_rows, len(survey.bands)), np.nan)
    for b, band in enumerate(survey.bands):
        for given, name in itertools.product((table, store.index), (f"{PLANE}_{band}", f"meta_{PLANE}_{band}")):
            if name in given.column_names:
                schema.require_numbers(given, name, where=where if given is table else store.path)
                column = given[name] if given is table else given[name].take(pa.array(rows))
                _fill(found[:, b], np.asarray(column.cast(pa.float64()).to_numpy()))
    if PLANE in store.layout.planes:
        lacking = np.flatnonzero(needed & np.isnan(found).any(axis=1))
        middle = store.size // 2
        for start in range(0, len(lacking), PLANE_ROWS):
            at = lacking[start : start + PLANE_ROWS]
            _fill(part := found[at], store.read_plane_rows(PLANE, rows[at])[:, middle, middle])
            found[at] = part
    _refuse_unknown(found, needed, table, survey, f"{where}: no {PLANE}", store.path)
    return found


def _fill(found: NDArray[np.float64], values: NDArray[np.floating]) -> None:
    """Put values above 0 where there is none yet, in place."""
    with np.errstate(invalid="ignore"):
        new = np.isnan(found) & (values > 0) & np.isfinite(values)
    found[new] = values[new]


def _refuse_unknown(
    found: NDArray[np.float64], needed: NDArray[np.bool_], table: pa.Table, survey: Survey, what: str, store: str
) -> None:
    for b, band in enumerate(survey.bands):
        without = np.flatnonzero(needed & np.isnan(found[:, b]))
        if len(without):
            first = table["galaxy_id"][int(without[0])].as_py()
            raise InputError(
                f"{what}_{band} above 0 for {len(without):,} of {int(needed.sum()):,} rows, such as {first}, "
                f"nor in {store}",
                f"add psfsize_{band} in arcsec, as the survey's catalogue has it",
            )
