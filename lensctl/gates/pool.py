"""The pool gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.comparing.arrays import texts
from lensctl.gates.registry import gate, setting, split_share
from lensctl.io.tables.sql import Database
from lensctl.rules import checks, schema, split
from lensctl.rules.acceptance import MIN_POOL_ROWS, N2_SHARE, critical_columns, min_pool_types
from lensctl.rules.checks import Check
from lensctl.rules.derived import POOLS
from lensctl.rules.survey import LS_DR10
from lensctl.stats.intervals import wilson
from lensctl.stats.pixel_shares import shares

if TYPE_CHECKING:
    from lensctl.gates.inputs import Inputs
    from lensctl.rules.survey import Survey

GATE = "pool"
BATCH_ROWS = 1 << 20


@dataclass(frozen=True)
class Settings:
    """Limits of the pool gate."""

    min_rows: int = setting(MIN_POOL_ROWS, "minimum number of rows")
    n2: tuple[float, float] = setting(N2_SHARE, "minimum and maximum fraction of N2, the hard confusers")
    train: tuple[float, float] = split_share("train")
    val: tuple[float, float] = split_share("val")
    test: tuple[float, float] = split_share("test")
    min_types: int = setting(min_pool_types(LS_DR10), "minimum number of galaxy types", of=min_pool_types)
    critical: tuple[str, ...] = setting(critical_columns(LS_DR10), "columns without nulls or NaN", of=critical_columns)
    seed: int = setting(LS_DR10.split_seed, "seed of the split rule", of=lambda survey: survey.split_seed)


@gate(GATE, inputs="POOL", settings=Settings)
def pool(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """The pool is large enough, without duplicates or nulls, and divided by the split rule; computed in SQL."""
    with Database() as database:
        of_type = [name for name in ("type",) if name in critical_columns(inputs.survey)]
        needed = dict.fromkeys((*limits.critical, "galaxy_id", "ra", "dec", *of_type, "healpix_128", "split", "pool"))
        scan = database.scan("pool", inputs.path, columns=list(needed), allow_empty=True)
        inputs.set_digest(scan.digest)
        schema.require(scan.schema, *needed, where=inputs.path, survey=inputs.survey)
        yield checks.some(GATE, "rows", scan.rows, limits.min_rows)
        if not scan.rows:
            return
        yield from _nulls(database, scan.schema, limits, scan.rows)
        yield _unique(database, scan.rows)
        yield from _shares(database, limits, scan.rows)
        if of_type:
            yield _types(database, limits, scan.rows)
        yield from _rule(database, limits, scan.rows, inputs.survey)


def _rows(database: Database, sql: str) -> list[dict[str, Any]]:
    return list(database.query(sql).to_pylist())


def _nulls(database: Database, columns: Any, limits: Settings, n: int) -> Iterator[Check]:
    import pyarrow as pa

    def missing(name: str) -> str:
        quoted = database.identifier(name)
        is_nan = f" OR isnan({quoted})" if pa.types.is_floating(columns.field(name).type) else ""
        return f"count(*) FILTER ({quoted} IS NULL{is_nan}) AS {quoted}"

    counts = _rows(database, f"SELECT {', '.join(map(missing, limits.critical))} FROM pool")[0]
    shown = [f"{name}: {count:,}" for name, count in counts.items() if count]
    yield checks.none(GATE, "no nulls in critical columns", shown, n, sum(counts.values()))


def _unique(database: Database, n: int) -> Check:
    repeated = "SELECT galaxy_id AS id FROM pool GROUP BY 1 HAVING count(*) > 1"
    few = f"SELECT id, count(*) OVER () AS n FROM ({repeated}) ORDER BY id LIMIT {checks.OFFENDERS_SHOWN}"
    repeats = _rows(database, few)
    return checks.none(
        GATE, "galaxy_id is unique", [row["id"] for row in repeats], n, repeats[0]["n"] if repeats else 0
    )


def _shares(database: Database, limits: Settings, n: int) -> Iterator[Check]:
    pools = _counts(database, "pool")
    yield checks.share(GATE, "N2 share", wilson(pools.get("N2", 0), n), limits.n2)
    others = {name: count for name, count in pools.items() if name not in POOLS}
    yield checks.none(GATE, "the rest is N1", others, n, sum(others.values()))
    by_pixel = database.query(
        "SELECT coalesce(TRY_CAST(healpix_128 AS BIGINT), -1) AS pixel, coalesce(split::VARCHAR, '') AS split, "
        "count(*) AS n FROM pool GROUP BY 1, 2 ORDER BY 1, 2"
    )
    pixel, rows = (by_pixel[name].to_numpy() for name in ("pixel", "n"))
    found = shares(pixel, texts(by_pixel, "split"), split.SPLITS, rows)
    for name, estimate in found.parts.items():
        bounds = getattr(limits, name)
        yield checks.split_share(GATE, f"{name} share", estimate, bounds, name, found.pixels, found.effective)


def _counts(database: Database, name: str) -> dict[str, int]:
    rows = _rows(database, f"SELECT {name}::VARCHAR AS value, count(*) AS n FROM pool GROUP BY 1 ORDER BY 1")
    return {str(row["value"]): int(row["n"]) for row in rows}


def _types(database: Database, limits: Settings, n: int) -> Check:
    types = [name for name in _counts(database, "type") if name != "None"]
    enough = len(types) >= limits.min_types
    note = "" if enough else f"found: {', '.join(types)}"
    return Check(GATE, "galaxy types", enough, len(types), limit=f">= {limits.min_types}", n=n, note=note)


def _rule(database: Database, limits: Settings, n: int, survey: Survey) -> Iterator[Check]:
    """Stored pixels and splits follow the split rule."""
    rule = split.split_sql("TRY_CAST(healpix_128 AS BIGINT)", limits.seed, survey.split_edges)
    by_pixel = "SELECT healpix_128, split, count(*) AS n FROM pool GROUP BY 1, 2"
    mismatched = _rows(
        database, f"SELECT healpix_128, split, n FROM ({by_pixel}) WHERE split IS DISTINCT FROM ({rule}) ORDER BY 1, 2"
    )
    shown = [f"pixel {row['healpix_128']} ({row['split']})" for row in mismatched[: checks.OFFENDERS_SHOWN]]
    yield checks.none(GATE, "split is that of the rule", shown, n, sum(row["n"] for row in mismatched))

    offenders: list[str] = []
    count = 0
    columns = "galaxy_id, ra::DOUBLE AS ra, dec::DOUBLE AS dec, healpix_128::DOUBLE AS pixel"
    _, batches = database.stream(f"SELECT {columns} FROM pool", BATCH_ROWS)
    for batch in batches:
        ra, dec, pixel = (batch[name].to_numpy(zero_copy_only=False) for name in ("ra", "dec", "pixel"))
        on_sky = (ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90)
        good = on_sky.copy()
        good[on_sky] = split.healpix(ra[on_sky], dec[on_sky]) == pixel[on_sky]
        bad = np.flatnonzero(~good)
        count += len(bad)
        found = (str(batch["galaxy_id"][int(i)].as_py()) for i in bad)
        offenders = sorted([*offenders, *found])[: checks.OFFENDERS_SHOWN]
    yield checks.none(GATE, "healpix_128 is that of ra, dec", offenders, n, count)
