"""Stratified negatives, reproducible: as many per stratum as the positives ask for, the same rows every time.

DuckDB does the work in four statements: what is too near a lens, how much each stratum has, which rows have the
smallest keys (only rows below a generous key threshold are sorted), and then all their columns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.words import draw, schema, strata
from lensctl.words.config import nearest
from lensctl.words.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.doors.sql import Database, Scan

ZONES_PER_DEGREE = 120  # declination zones of 30 arcsec: far wider than any exclusion radius in use
MARGIN_SIGMA = 8.0  # how generous the key threshold is, in standard deviations of a binomial draw


@dataclass(frozen=True)
class Drawn:
    """What `sample` gives: the rows, the table of strata, and the SQL that chose them."""

    rows: pa.Table
    quotas: tuple[draw.Quota, ...]
    near_lenses: int
    unstratified: int
    sql: str


def strata_table(quotas: Sequence[draw.Quota], names: Sequence[str]) -> pa.Table:
    """The strata as a table: their columns, then positives, what is available, wanted, taken and short."""
    import pyarrow as pa

    return pa.Table.from_pylist(
        [
            {
                **dict(zip(names, quota.stratum, strict=True)),
                "positives": quota.positives,
                "available_n1": quota.available_n1,
                "available_n2": quota.available_n2,
                "target": quota.target,
                "taken_n1": quota.taken_n1,
                "taken_n2": quota.taken_n2,
                "shortfall": quota.shortfall,
                "filled_from": quota.filled_from,
            }
            for quota in quotas
        ]
    )


def bins_from(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Stratification bins from `column=a,b,c` texts; `nobs_z` means `nobs_z_bin`. No values: every value."""
    bins = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = {"nobs_z": "nobs_z_bin"}.get(name.strip(), name.strip())
        bins[name] = tuple(value.strip() for value in values.split(",") if value.strip())
        for value in bins[name]:
            known = strata.NOBS_Z_BINS if name == "nobs_z_bin" else ()
            if known and value not in known:
                raise InputError(f"no nobs_z bin '{value}'{nearest(value, known)}", f"use {', '.join(known)}")
    return bins


def sample(
    database: Database,
    pool: Scan,
    positives: pa.Table,
    *,
    bins: dict[str, tuple[str, ...]],
    seed: int = 42,
    per_positive: int = 100,
    n1_n2_ratio: tuple[float, float] = (0.85, 0.15),
    cap: int | None = 510_000,
    lenses: pa.Table | None = None,
    exclude_arcsec: float = 11.0,
) -> Drawn:
    """Draw negatives from a pool.

    Parameters
    ----------
    database, pool
        A database in which the pool is known as `pool`, and what `Database.scan` said of it.
    positives : pa.Table
        Has the stratum columns; each positive asks for `per_positive` rows of its stratum.
    bins : dict
        Stratum columns and the values that count (none: all of them). A positive of another value has no stratum
        and asks for nothing.
    cap : int, optional
        Most rows in all; targets beyond it are scaled down by largest remainder.
    lenses : pa.Table, optional
        ra, dec in degrees: rows within `exclude_arcsec` of any are not drawn.

    Raises
    ------
    InputError
        Missing columns, null or repeated ids, no positive in any stratum, ratios that do not add up to 1.
    """
    if min(n1_n2_ratio) < 0 or not math.isclose(sum(n1_n2_ratio), 1.0, abs_tol=1e-9):
        raise InputError(
            f"n1_n2_ratio is {n1_n2_ratio[0]:g} and {n1_n2_ratio[1]:g}, which do not add up to 1", "use 0.85 0.15"
        )
    schema.require(pool.schema, "galaxy_id", "pool", *bins, where="pool")
    schema.require(positives, *bins, where="positives")
    wanted = _strata_of(positives, bins)
    if not wanted:
        raise InputError("no positive lies in any stratum", f"strata are {_shown(bins)}")
    near = 0
    if lenses is not None:
        schema.require(pool.schema, "ra", "dec", where="pool")
        near = exclude_near(database, lenses, exclude_arcsec)
    else:
        database.run("CREATE TEMP TABLE near AS SELECT ''::VARCHAR AS galaxy_id WHERE false")
    available = _available(database, tuple(bins))
    targets = draw.targets(wanted, per_positive=per_positive, cap=cap)
    quotas = tuple(
        draw.quota(s, wanted[s], available.get(s, (0, 0)), targets[s], n2_share=n1_n2_ratio[1]) for s in sorted(targets)
    )
    sql = choose_sql(quotas, tuple(bins), seed)
    database.run(f"CREATE TEMP TABLE chosen AS {sql}")
    weights = _weights(database, quotas, tuple(bins))
    rows = database.query(
        f"SELECT pool.*, {weights} AS sampling_weight FROM pool JOIN chosen USING (galaxy_id) ORDER BY galaxy_id"
    )
    expected = sum(quota.taken_n1 + quota.taken_n2 for quota in quotas)
    if rows.num_rows != expected:
        schema.refuse_duplicates(rows, where="pool")
        raise InputError(f"pool: {expected} rows should be drawn, {rows.num_rows} were", "is the pool being written?")
    return Drawn(rows, quotas, near, positives.num_rows - sum(wanted.values()), sql)


def _strata_of(positives: pa.Table, bins: dict[str, tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """How many positives each stratum has."""
    rows = zip(*(positives[name].to_pylist() for name in bins), strict=True)
    return Counter(
        row
        for row in rows
        if all(v is not None and (not ok or v in ok) for v, ok in zip(row, bins.values(), strict=True))
    )


def _shown(bins: dict[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{name} in {', '.join(values) or 'any value'}" for name, values in bins.items())


def exclude_near(database: Database, lenses: pa.Table, radius_arcsec: float) -> int:
    """Make table `near` of the pool's rows within a radius of any lens; gives how many there are.

    Rows and lenses meet in zones of declination (an equality the engine can hash), then by true separation.
    """
    database.register("lens", lenses.select(["ra", "dec"]))
    half_chord_squared = math.sin(math.radians(radius_arcsec / 3600) / 2) ** 2
    reach = math.ceil(radius_arcsec / 3600 * ZONES_PER_DEGREE)
    database.run(f"""
        CREATE TEMP TABLE near AS
        WITH zoned AS (
            SELECT ra, dec, floor(dec * {ZONES_PER_DEGREE})::INTEGER + step AS zone
            FROM lens, range(-{reach}, {reach + 1}) AS steps(step))
        SELECT DISTINCT galaxy_id
        FROM pool JOIN zoned ON floor(pool.dec * {ZONES_PER_DEGREE})::INTEGER = zone
        WHERE pow(sin(radians(pool.dec - zoned.dec) / 2), 2) + cos(radians(pool.dec)) * cos(radians(zoned.dec))
            * pow(sin(radians(pool.ra - zoned.ra) / 2), 2) <= {half_chord_squared!r}""")
    return int(database.query("SELECT count(*) AS n FROM near")["n"][0].as_py())


def _available(database: Database, names: tuple[str, ...]) -> dict[tuple[str, ...], tuple[int, int]]:
    """Rows of each stratum in N1 and in N2, without those near a lens."""
    listed = ", ".join(names)
    counts = database.query(f"""
        SELECT {listed}, count(*) FILTER (pool = 'N1') AS n1, count(*) FILTER (pool = 'N2') AS n2,
               count(*) FILTER (galaxy_id IS NULL) AS nameless
        FROM pool WHERE galaxy_id IS NULL OR galaxy_id NOT IN (SELECT galaxy_id FROM near)
        GROUP BY ALL""").to_pylist()
    nameless = sum(row["nameless"] for row in counts)
    if nameless:
        raise InputError(f"pool: column 'galaxy_id' is null in {nameless} rows", "make the pool again")
    return {tuple(row[name] for name in names): (row["n1"], row["n2"]) for row in counts}


def choose_sql(quotas: Sequence[draw.Quota], names: tuple[str, ...], seed: int) -> str:
    """The statement that chooses: in each (stratum, pool) the rows with the smallest keys.

    Only rows whose key lies below a threshold are ranked. It is so generous (the expected number plus
    MARGIN_SIGMA standard deviations) that missing one is a matter of 1e-15, and `sample` counts what it got.
    """
    key = draw.order_sql("galaxy_id", seed)
    listed = ", ".join(names)
    rows = []
    for quota in quotas:
        for pool, there, take in zip(
            strata.POOLS, (quota.available_n1, quota.available_n2), (quota.taken_n1, quota.taken_n2), strict=True
        ):
            if take:
                values = ", ".join("'" + value.replace("'", "''") + "'" for value in (*quota.stratum, pool))
                rows.append(f"({values}, {take}, '{_threshold(take, there)}')")
    if not rows:
        raise InputError("the pool has no row in any stratum of the positives", "was it made with the same bins?")
    return (
        f"WITH quota({listed}, pool, take, below) AS (VALUES {', '.join(rows)}),\n"
        f"candidate AS (SELECT galaxy_id, {listed}, pool, take, {key} AS key\n"
        f"    FROM pool JOIN quota USING ({listed}, pool) WHERE {key} < below\n"
        f"    AND galaxy_id NOT IN (SELECT galaxy_id FROM near)),\n"
        f"ranked AS (SELECT *, row_number() OVER (PARTITION BY {listed}, pool ORDER BY key, galaxy_id) AS rank\n"
        f"    FROM candidate)\n"
        f"SELECT galaxy_id FROM ranked WHERE rank <= take"
    )


def _threshold(take: int, there: int) -> str:
    """Hex key below which `take` of `there` uniform keys lie almost surely; "g" is above every key."""
    share = take / there
    generous = share + MARGIN_SIGMA * math.sqrt(share * (1 - share) / there) + MARGIN_SIGMA**2 / there
    return "g" if generous >= 1 else f"{int(generous * 16**8):08x}"


def _weights(database: Database, quotas: Sequence[draw.Quota], names: tuple[str, ...]) -> str:
    """SQL for available / taken of a row's (stratum, pool)."""
    import pyarrow as pa

    rows = [
        {**dict(zip(names, q.stratum, strict=True)), "pool": pool, "weight": there / take}
        for q in quotas
        for pool, there, take in (("N1", q.available_n1, q.taken_n1), ("N2", q.available_n2, q.taken_n2))
        if take
    ]
    database.register("weight", pa.Table.from_pylist(rows))
    same = " AND ".join(f"weight.{name} = pool.{name}" for name in (*names, "pool"))
    return f"(SELECT weight FROM weight WHERE {same})"
