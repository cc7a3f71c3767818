"""Stratified negatives, drawn reproducibly: a number per positive in each stratum, the same rows every time.

The engine (DuckDB on one machine, Spark on a cluster) runs SQL that both understand, to find rows too near a lens,
the size of each stratum, duplicate ids, and the rows with the smallest keys; all columns are read only for these.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.io.tables.declared_types import fitted
from lensctl.rules import sampling_rule, schema
from lensctl.rules.derived import POOLS
from lensctl.rules.errors import InputError
from lensctl.rules.strata import Division, divisions, strata_of
from lensctl.sample.choosing import Cell, choose_sql, refuse_bad_ids
from lensctl.sample.engine import CANDIDATES, Engine
from lensctl.sample.near_lenses import exclude_near

if TYPE_CHECKING:
    import pyarrow as pa

NEEDED = ("galaxy_id", "pool", "ra", "dec")
"""Columns of a pool that the rule needs, besides those of the strata."""

COUNTS = (
    "positives",
    "available_n1",
    "available_n2",
    "target",
    "taken_n1",
    "taken_n2",
    "shortfall",
    "filled_from",
)
"""Columns of the table of strata, besides the strata."""


@dataclass(frozen=True)
class Plan:
    """Result of `plan`: quotas of the strata, rows left out, and the SQL that selects the rows."""

    by: tuple[Division, ...]
    quotas: tuple[sampling_rule.Quota, ...]
    near_lenses: int
    unstratified: int
    sql: str

    @property
    def rows(self) -> int:
        """Number of rows taken."""
        return sum(quota.taken_n1 + quota.taken_n2 for quota in self.quotas)

    @property
    def strata(self) -> pa.Table:
        """The strata as a table: stratum columns, positives, rows available, wanted, taken and missing."""
        import pyarrow as pa

        return pa.Table.from_pylist(
            [
                {
                    **dict(zip((division.name for division in self.by), quota.stratum, strict=True)),
                    **{name: getattr(quota, name) for name in COUNTS},
                }
                for quota in self.quotas
            ]
        )


def plan(
    engine: Engine,
    pool: pa.Schema,
    positives: pa.Table,
    *,
    by: dict[str, tuple[str, ...]],
    seed: int = sampling_rule.SEED,
    per_positive: int = 100,
    n1_n2_ratio: tuple[float, float] = (0.85, 0.15),
    cap: int | None = 510_000,
    lenses: pa.Table | None = None,
    exclude_arcsec: float = 11.0,
) -> Plan:
    """Decide how many negatives each stratum gets, and write the SQL that selects them.

    Parameters
    ----------
    engine
        Has the pool registered as `pool`.
    pool : pa.Schema
        The pool's columns.
    positives : pa.Table
        Has the stratum columns; each positive gets `per_positive` rows of its stratum.
    by : dict
        Result of `parse_strata`: stratum columns with their values or edges. A positive outside them has no stratum
        and gets no negatives.
    cap : int, optional
        Maximum total rows; larger targets are scaled down by largest remainder.
    lenses : pa.Table, optional
        ra, dec in degrees: rows within `exclude_arcsec` of any are not drawn.

    Raises
    ------
    InputError
        Missing columns, null or duplicate ids, invalid positions, no positive in any stratum, strata that the pool
        lacks, ratios that do not add up to 1.
    """
    import pyarrow as pa

    if not all(share >= 0 for share in n1_n2_ratio) or not math.isclose(sum(n1_n2_ratio), 1.0, abs_tol=1e-9):
        raise InputError(
            f"n1_n2_ratio is {n1_n2_ratio[0]:g} and {n1_n2_ratio[1]:g}, which do not add up to 1", "use 0.85 0.15"
        )
    schema.require(pool, "galaxy_id", "pool", *(("ra", "dec") if lenses is not None else ()), where="pool")
    schema.require_numbers(pool.empty_table(), *(("ra", "dec") if lenses is not None else ()), where="pool")
    divided_by = divisions(by, pool, "pool")
    schema.require(positives, *by, where="positives")
    for division in divided_by:
        if division.name in COUNTS:
            raise InputError(f"'{division.name}' is a column of the table of strata itself", "rename that column")
        if division.edges:
            numbers = fitted(positives[division.column], pa.float64(), division.column, "positives")
            positives = positives.set_column(positives.column_names.index(division.column), division.column, numbers)
    wanted = Counter(stratum for stratum in strata_of(positives, divided_by) if stratum is not None)
    if not wanted:
        raise InputError("no positive lies in any stratum", f"the strata are {'; '.join(map(str, divided_by))}")
    strata = begin(engine, divided_by, positions=lenses is not None)
    refuse_bad_ids(engine)
    near = exclude_near(engine, lenses, exclude_arcsec, strata)
    in_pool, too_near = (_counts(engine, table, strata) for table in (CANDIDATES, "near"))
    targets = sampling_rule.targets(wanted, per_positive=per_positive, cap=cap)
    quotas = tuple(
        sampling_rule.quota(
            stratum,
            wanted[stratum],
            [in_pool[stratum, name] - too_near[stratum, name] for name in ("N1", "N2")],
            target,
            n2_share=n1_n2_ratio[1],
        )
        for stratum, target in sorted(targets.items())
    )
    for quota in quotas:
        if quota.target and not quota.available_n1 + quota.available_n2:
            raise InputError(
                f"the pool has no row of stratum {'/'.join(quota.stratum)}, which {quota.positives} positives need",
                "remake the pool with it, or leave the stratum out of stratification_bins",
            )
    sql = choose_sql(_cells(quotas), (*strata, "pool"), seed, engine.locator)
    return Plan(divided_by, quotas, near, positives.num_rows - wanted.total(), sql)


def begin(engine: Engine, by: Sequence[Division], *, positions: bool) -> tuple[str, ...]:
    """Register the pool's rows as CANDIDATES, under names of our own alone; returns the columns of their strata."""
    strata = tuple(f"stratum_{number}" for number in range(len(by)))
    divided = [f"{d.sql(engine.identifier(d.column))} AS {name}" for d, name in zip(by, strata, strict=True)]
    texts = [f"CAST({name} AS STRING) AS {name}" for name in ("galaxy_id", "pool")]
    columns = (*engine.locator, *texts, *(("ra", "dec") if positions else ()), *divided)
    engine.view(CANDIDATES, f"SELECT {', '.join(columns)} FROM pool")
    return strata


def _counts(engine: Engine, table: str, strata: Sequence[str]) -> Counter[tuple[tuple[str, ...], str]]:
    """Number of rows of a table for each (stratum, pool)."""
    names = ", ".join((*strata, "pool"))
    counts = engine.query(f"SELECT {names}, count(*) AS n FROM {table} GROUP BY {names}").to_pylist()
    return Counter({(tuple(row[name] for name in strata), row["pool"]): row["n"] for row in counts})


def _cells(quotas: Sequence[sampling_rule.Quota]) -> list[Cell]:
    """What is taken of each (stratum, pool)."""
    return [
        Cell((*quota.stratum, pool), available, take)
        for quota in quotas
        for pool, available, take in zip(
            POOLS, (quota.available_n1, quota.available_n2), (quota.taken_n1, quota.taken_n2), strict=True
        )
    ]
