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
from lensctl.rules.strata import Division, divisions, strata_of, text_sql
from lensctl.sample.engine import CANDIDATES, Engine
from lensctl.sample.near_lenses import exclude_near

if TYPE_CHECKING:
    import pyarrow as pa

NEEDED = ("galaxy_id", "pool", "ra", "dec")
"""Columns of a pool that the rule needs, besides those of the strata."""

CHOSEN = "chosen"
"""Name of the table of selected rows."""

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

MARGIN_SIGMA = 8.0  # margin of the key threshold, in standard deviations of a binomial draw


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
    _refuse_bad_ids(engine)
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
    sql = choose_sql(quotas, strata, seed, engine.locator)
    return Plan(divided_by, quotas, near, positives.num_rows - wanted.total(), sql)


def begin(engine: Engine, by: Sequence[Division], *, positions: bool) -> tuple[str, ...]:
    """Register the pool's rows as CANDIDATES, under names of our own alone; returns the columns of their strata."""
    strata = tuple(f"stratum_{number}" for number in range(len(by)))
    divided = [f"{d.sql(engine.identifier(d.column))} AS {name}" for d, name in zip(by, strata, strict=True)]
    texts = [f"CAST({name} AS STRING) AS {name}" for name in ("galaxy_id", "pool")]
    columns = (*engine.locator, *texts, *(("ra", "dec") if positions else ()), *divided)
    engine.view(CANDIDATES, f"SELECT {', '.join(columns)} FROM pool")
    return strata


def _refuse_bad_ids(engine: Engine) -> None:
    """Raise InputError naming some ids that occur in more than one row, or the number of null ids.

    Hashes are cheap to count; only ids that share a hash are compared themselves.
    """
    key = f"CASE WHEN galaxy_id IS NOT NULL THEN {engine.hash64}(galaxy_id) END"
    engine.keep(
        "suspect",
        f"SELECT key FROM (SELECT {key} AS key FROM {CANDIDATES}) GROUP BY key HAVING count(*) > 1 OR key IS NULL",
    )
    suspects = engine.query("SELECT count(*) AS n, count(key) AS named FROM suspect").to_pylist()[0]
    if suspects["n"] > suspects["named"]:
        null = engine.query(f"SELECT count(*) AS n FROM {CANDIDATES} WHERE galaxy_id IS NULL")["n"][0].as_py()
        raise InputError(f"pool: column 'galaxy_id' is null in {null} rows", "remake the pool")
    if not suspects["n"]:
        return
    engine.keep(
        "twice",
        f"SELECT galaxy_id FROM {CANDIDATES} WHERE {key} IN (SELECT key FROM suspect)"
        " GROUP BY galaxy_id HAVING count(*) > 1",
    )
    count = engine.query("SELECT count(*) AS n FROM twice")["n"][0].as_py()
    if count:
        some = engine.query("SELECT galaxy_id FROM twice ORDER BY galaxy_id LIMIT 3")["galaxy_id"].to_pylist()
        raise InputError(
            f"pool: {count} values of 'galaxy_id' occur in more than one row: {', '.join(some)}", "keep one of each"
        )


def _counts(engine: Engine, table: str, strata: Sequence[str]) -> Counter[tuple[tuple[str, ...], str]]:
    """Number of rows of a table for each (stratum, pool)."""
    names = ", ".join((*strata, "pool"))
    counts = engine.query(f"SELECT {names}, count(*) AS n FROM {table} GROUP BY {names}").to_pylist()
    return Counter({(tuple(row[name] for name in strata), row["pool"]): row["n"] for row in counts})


def choose_sql(quotas: Sequence[sampling_rule.Quota], strata: Sequence[str], seed: int, locator: Sequence[str]) -> str:
    """The SQL that selects the rows with the smallest keys in each (stratum, pool), and their weights.

    Only rows with a key below a threshold are ranked. The threshold allows the expected number plus MARGIN_SIGMA
    standard deviations, so the chance of missing a row is 1e-15; the rows drawn are counted.
    """
    names = ", ".join(strata)
    where = ", ".join(locator)
    rows, thresholds = [], []
    for quota in quotas:
        for pool, available, take in zip(
            POOLS, (quota.available_n1, quota.available_n2), (quota.taken_n1, quota.taken_n2), strict=True
        ):
            if take:
                values = ", ".join(map(text_sql, (*quota.stratum, pool)))
                thresholds.append(_threshold(take, available))
                rows.append(f"({values}, {take}, '{thresholds[-1]}', {available / take:.17e})")
    order = sampling_rule.order_sql("galaxy_id", seed)
    placed = ", ".join((*strata, "pool", "galaxy_id", f"{order} AS key"))
    return (
        f"WITH quota({names}, pool, take, below, sampling_weight) AS (VALUES\n    {f',{chr(10)}    '.join(rows)}),\n"
        f"low AS (SELECT * FROM (SELECT {where}, {placed} FROM {CANDIDATES})\n"
        f"    WHERE key < '{max(thresholds)}'),\n"
        f"candidate AS (SELECT low.*, take, sampling_weight FROM low JOIN quota USING ({names}, pool)\n"
        f"    WHERE key < below),\n"
        f"far AS (SELECT candidate.* FROM candidate ANTI JOIN near USING ({where})),\n"
        f"ranked AS (SELECT *, row_number() OVER (PARTITION BY {names}, pool ORDER BY key, galaxy_id) AS place\n"
        f"    FROM far)\n"
        f"SELECT {where}, sampling_weight FROM ranked WHERE place <= take"
    )


def _threshold(take: int, available: int) -> str:
    """Hex key below which `take` of `available` uniform keys almost surely lie; "g" is above every key."""
    share = take / available
    generous = share + MARGIN_SIGMA * math.sqrt(share * (1 - share) / available) + MARGIN_SIGMA**2 / available
    return "g" if generous >= 1 else f"{int(generous * 16**8):08x}"
