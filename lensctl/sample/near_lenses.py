"""Candidates near lenses: a join by declination zone (an equality join), then by true separation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import lens_units
from lensctl.rules.errors import InputError
from lensctl.sample.engine import CANDIDATES, Engine

if TYPE_CHECKING:
    import pyarrow as pa

ZONES_PER_DEGREE = 120  # declination zones of 30 arcsec, wider than usual exclusion radii
NOWHERE = 1 << 30  # zone of invalid positions


def exclude_near(engine: Engine, lenses: pa.Table | None, radius_arcsec: float, strata: Sequence[str]) -> int:
    """Create table `near`: candidates within a radius of any lens, with their strata; returns their number.

    Raises InputError if there are rows with an invalid position.
    """
    columns = ", ".join((*engine.locator, *strata, "pool"))
    if lenses is None:
        engine.keep("near", f"SELECT {columns} FROM {CANDIDATES} WHERE 1 = 0")
        return 0
    ra, dec = (lenses[axis].to_numpy() for axis in ("ra", "dec"))
    engine.keep("near", _near_sql(engine, {"": (ra, dec)}, radius_arcsec, columns))
    counts = engine.query("SELECT nowhere, count(*) AS n FROM near GROUP BY nowhere").to_pylist()
    number = {row["nowhere"]: row["n"] for row in counts}
    if number.get(True):
        raise InputError(
            f"pool: {number[True]} rows have a position that is null, NaN or out of range", "remake the pool"
        )
    return int(number.get(False, 0))


def refuse_other_units(engine: Engine, lenses: lens_units.Lenses) -> None:
    """Raise InputError for a catalogue whose lenses lie on more candidates in hours or radians than in degrees."""
    readings = lenses.readings()
    if not readings:
        return
    given = {(lens_units.DEGREES, str(number)): place for number, place in enumerate(lenses.places)}
    every = {" ".join(of): at for of, at in {**given, **readings}.items()}
    within = _near_sql(engine, every, lens_units.SAME_ARCSEC, ", ".join(engine.locator))
    counts = engine.query(f"SELECT reading, count(*) AS n FROM ({within}) AS within GROUP BY reading").to_pylist()
    found: dict[str, Counter[str]] = {}
    for row in counts:
        unit, catalogue = row["reading"].split()
        found.setdefault(unit, Counter())[catalogue] = row["n"]
    lens_units.refuse_other_units(found, lenses)


def _near_sql(engine: Engine, lenses: Mapping[str, lens_units.Position], radius_arcsec: float, columns: str) -> str:
    """SQL of the candidates within a radius of any lens, once for each reading of the lenses.

    Rows with an invalid position lie in a zone of their own, as a lens does, and so are among them.
    """
    import pyarrow as pa

    reach = math.ceil(radius_arcsec / 3600 * ZONES_PER_DEGREE)
    steps = np.arange(-reach, reach + 1)
    tables = [pa.table({"lens_ra": [0.0], "lens_dec": [0.0], "zone": [NOWHERE], "reading": [next(iter(lenses))]})]
    for reading, (ra, dec) in lenses.items():
        zone = (np.floor(dec * ZONES_PER_DEGREE).astype(np.int64)[:, None] + steps).ravel()
        zoned = {"lens_ra": np.repeat(ra, len(steps)), "lens_dec": np.repeat(dec, len(steps)), "zone": zone}
        tables.append(pa.table({**zoned, "reading": pa.repeat(reading, len(zone))}))
    engine.register("lens", pa.concat_tables(tables).combine_chunks())
    half_chord_squared = math.sin(math.radians(radius_arcsec / 3600) / 2) ** 2
    return (
        f"SELECT DISTINCT {columns}, reading, zone = {NOWHERE} AS nowhere\n"
        f"FROM (SELECT *, CASE WHEN ra >= 0 AND ra <= 360 AND dec >= -90 AND dec <= 90 AND {_numbers('ra', 'dec')}\n"
        f"    THEN CAST(floor(dec * {ZONES_PER_DEGREE}) AS BIGINT) ELSE {NOWHERE} END AS zone\n"
        f"    FROM {CANDIDATES}) AS placed\n"
        f"JOIN lens USING (zone)\n"
        f"WHERE zone = {NOWHERE} OR pow(sin(radians(dec - lens_dec) / 2), 2)\n"
        f"    + cos(radians(dec)) * cos(radians(lens_dec)) * pow(sin(radians(ra - lens_ra) / 2), 2)"
        f" <= {half_chord_squared:.17e}"
    )


def _numbers(*columns: str) -> str:
    """SQL condition that columns are not NaN, explicit because parquet statistics, which DuckDB uses, omit NaN."""
    return " AND ".join(f"NOT isnan(CAST({column} AS DOUBLE))" for column in columns)
