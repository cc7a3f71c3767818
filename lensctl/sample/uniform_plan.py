"""Uniform negatives: each row of the pool as likely, the same rows every time, a larger draw holding the smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.rules import sampling_rule, schema
from lensctl.rules.derived import UNIFORM
from lensctl.rules.errors import InputError
from lensctl.sample import condition
from lensctl.sample.choosing import Cell, choose_sql, refuse_bad_ids
from lensctl.sample.engine import CANDIDATES, Engine
from lensctl.sample.near_lenses import exclude_near

if TYPE_CHECKING:
    import pyarrow as pa

NEEDED = ("galaxy_id", "ra", "dec")
"""Columns of a pool that the rule needs, besides those of a condition."""


@dataclass(frozen=True)
class UniformPlan:
    """Result of `plan_uniform`.

    Attributes
    ----------
    rows, pool_rows : int
        Rows drawn, and those they are drawn from: that meet the condition, and lie near no lens.
    near_lenses : int
        Rows left out because they do.
    sql : str
        Selects the rows, with their sampling_weight and tier.
    """

    rows: int
    pool_rows: int
    near_lenses: int
    sql: str

    @property
    def sampling_weight(self) -> float:
        """Number of rows that each drawn row stands for."""
        return self.pool_rows / self.rows


def plan_uniform(
    engine: Engine,
    pool: pa.Schema,
    count: int,
    *,
    seed: int = sampling_rule.SEED,
    where: str | None = None,
    lenses: pa.Table | None = None,
    exclude_arcsec: float = 11.0,
) -> UniformPlan:
    """Write the SQL that selects the `count` rows of the pool with the smallest keys.

    Parameters
    ----------
    engine
        Has the pool registered as `pool`.
    pool : pa.Schema
        The pool's columns.
    where : str, optional
        SQL condition that rows must meet, such as "split = 'test'"; see `condition`.
    lenses : pa.Table, optional
        ra, dec in degrees: rows within `exclude_arcsec` of any are not drawn.

    Raises
    ------
    InputError
        Missing columns, null or duplicate ids, invalid positions, a condition that is none, or fewer rows than asked
        for.
    """
    positions = ("ra", "dec") if lenses is not None else ()
    schema.require(pool, "galaxy_id", *positions, where="pool")
    schema.require_numbers(pool.empty_table(), *positions, where="pool")
    if where is not None:
        condition.refuse(where)
    columns = ", ".join((*engine.locator, "CAST(galaxy_id AS STRING) AS galaxy_id", f"'{UNIFORM}' AS pool", *positions))
    if where is None:
        engine.view(CANDIDATES, f"SELECT {columns} FROM pool")
        rows = int(engine.query(f"SELECT count(*) AS n FROM {CANDIDATES}")["n"][0].as_py())
    else:
        rows = condition.view_rows_that(engine, CANDIDATES, pool, where, columns)
    refuse_bad_ids(engine)
    near = exclude_near(engine, lenses, exclude_arcsec, ())
    available = rows - near
    if available < count:
        which = "" if where is None else f" that meet {where!r}"
        apart = f", and {near:,} lie near a lens" if near else ""
        raise InputError(
            f"--uniform {count}: the pool has {rows:,} rows{which}{apart}", f"ask for at most {available:,}"
        )
    cells = [Cell((UNIFORM,), available, count)]
    sql = choose_sql(cells, ("pool",), seed, engine.locator, f", '{UNIFORM}' AS tier")
    return UniformPlan(count, available, near, sql)
