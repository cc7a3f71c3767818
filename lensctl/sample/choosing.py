"""Which rows of the candidates are drawn: those with the smallest keys of each cell; and that ids are unique."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lensctl.rules import sampling_rule
from lensctl.rules.errors import InputError
from lensctl.rules.strata import text_sql
from lensctl.sample.engine import CANDIDATES, Engine

CHOSEN = "chosen"
"""Name of the table of selected rows."""

MARGIN_SIGMA = 8.0  # margin of the key threshold, in standard deviations of a binomial draw


@dataclass(frozen=True)
class Cell:
    """A part of the candidates: its values in the key columns, its rows that may be drawn, and how many are."""

    values: tuple[str, ...]
    available: int
    take: int


def choose_sql(
    cells: Sequence[Cell], keys: Sequence[str], seed: int, locator: Sequence[str], constants: str = ""
) -> str:
    """The SQL that selects the rows with the smallest keys in each cell, and their weights.

    Only rows with a key below a threshold are ranked. The threshold allows the expected number plus MARGIN_SIGMA
    standard deviations, so the chance of missing a row is 1e-15; the rows drawn are counted.

    Parameters
    ----------
    keys : sequence of str
        Columns of CANDIDATES that name a row's cell.
    constants : str
        Further columns, the same for every row, such as ", 'N0' AS tier".
    """
    names = ", ".join(keys)
    where = ", ".join(locator)
    taken = [cell for cell in cells if cell.take]
    thresholds = [_threshold(cell.take, cell.available) for cell in taken]
    rows = [
        f"({', '.join(map(text_sql, cell.values))}, {cell.take}, '{below}', {cell.available / cell.take:.17e})"
        for cell, below in zip(taken, thresholds, strict=True)
    ]
    order = sampling_rule.order_sql("galaxy_id", seed)
    placed = ", ".join((*keys, "galaxy_id", f"{order} AS key"))
    return (
        f"WITH quota({names}, take, below, sampling_weight) AS (VALUES\n    {f',{chr(10)}    '.join(rows)}),\n"
        f"low AS (SELECT * FROM (SELECT {where}, {placed} FROM {CANDIDATES})\n"
        f"    WHERE key < '{max(thresholds)}'),\n"
        f"candidate AS (SELECT low.*, take, sampling_weight FROM low JOIN quota USING ({names})\n"
        f"    WHERE key < below),\n"
        f"far AS (SELECT candidate.* FROM candidate ANTI JOIN near USING ({where})),\n"
        f"ranked AS (SELECT *, row_number() OVER (PARTITION BY {names} ORDER BY key, galaxy_id) AS place\n"
        f"    FROM far)\n"
        f"SELECT {where}, sampling_weight{constants} FROM ranked WHERE place <= take"
    )


def _threshold(take: int, available: int) -> str:
    """Hex key below which `take` of `available` uniform keys almost surely lie; "g" is above every key."""
    share = take / available
    generous = share + MARGIN_SIGMA * math.sqrt(share * (1 - share) / available) + MARGIN_SIGMA**2 / available
    return "g" if generous >= 1 else f"{int(generous * 16**8):08x}"


def refuse_bad_ids(engine: Engine) -> None:
    """Raise InputError naming some ids that occur in more than one candidate, or the number of null ids.

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
