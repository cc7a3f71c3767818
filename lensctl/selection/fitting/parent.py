"""The parent factor: which share of known lenses the pool's criteria let through, so that the model could see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.tables.files import read_table
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.stats.shares import share_of_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Chain
    from lensctl.rules.survey import Survey

TIERS = ("A", "B")


def parent_factor(positives: str, chain: Chain, survey: Survey) -> list[dict[str, Any]]:
    """The share of the lenses of each tier, and of both, that meet the criteria of the pool; quoted, never multiplied.

    Raises InputError for a table that lacks columns, or without lenses.
    """
    table = read_table(positives)
    criteria = criteria_of(chain, survey)
    columns = {name for text in criteria.values() for name in survey.expression(text).columns}
    schema.require(table, "tier", "healpix_128", *sorted(columns), where=positives, survey=survey)
    schema.refuse_nulls(table, "healpix_128", where=positives)
    schema.require_numbers(table, "healpix_128", where=positives)
    met = np.ones(table.num_rows, bool)
    for text in criteria.values():
        met &= np.asarray(survey.expression(text)(lambda name: values_of(table, name)), bool)
    tier, pixel = values_of(table, "tier"), table["healpix_128"].to_numpy()
    found = []
    for name, tiers in (("A+B", TIERS), *((one, (one,)) for one in TIERS)):
        rows = np.isin(tier, tiers)
        found.append({"tier": name, **share_of_rows(met[rows], pixel[rows]).as_dict()})
    if not found[0]["n"]:
        raise InputError(f"{positives}: no lens of tier A or B", "give the positives of `lensctl crossmatch`")
    return found


def criteria_of(chain: Chain, survey: Survey) -> dict[str, str]:
    """Criteria of the pool that the model's negatives were drawn from, or the survey's first."""
    pool = next((step for step in chain if step.command == "pool"), None)
    recorded = {} if pool is None else pool.parameters.get("criteria", {})
    return dict(recorded or next(iter(survey.criteria.values())))


def values_of(table: pa.Table, name: str) -> NDArray[Any]:
    """A column as numbers, NaN where null, or as text, empty where null: (N,)."""
    import pyarrow as pa

    column = table[name]
    if pa.types.is_integer(column.type) and not column.null_count:
        return np.asarray(column.to_numpy())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    return np.array(["" if word is None else str(word) for word in column.to_pylist()])
