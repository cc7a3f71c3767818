"""What kind of galaxy a row is: nobs_z bin, confuser class, pool. One rule each, in numpy and in SQL.

The classes are those of the plan's origin, with ellipticity and Sersic index really used. A criterion on a
null (NaN) is false. Comparisons are made in float64 on the stored values, with arithmetic that both languages
round alike, so that they agree to the last row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

TYPES = ("SER", "DEV", "REX")
"""Tractor types of the pool; the plan leaves EXP out."""

NOBS_Z_BINS = ("1-2", "3-5", "6-10", "11+")
NOBS_Z_EDGES = (1, 3, 6, 11)

POOLS = ("N1", "N2")
CONFUSERS = ("ring_proxy", "edge_on_proxy", "blue_clumpy", "large_galaxy")
CONFUSER_COLUMNS = (
    "type",
    "flux_r",
    "mag_r",
    "g_minus_r",
    "shape_r",
    "shape_e1",
    "shape_e2",
    "sersic",
)


def magnitude(flux: ArrayLike) -> NDArray[np.float32]:
    """AB magnitude of a flux in nanomaggies, 22.5 - 2.5 log10(flux); NaN where flux <= 0 or NaN."""
    import numpy as np

    flux = np.asarray(flux, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.where(flux > 0, 22.5 - 2.5 * np.log10(flux), np.nan)
    return magnitude.astype(np.float32)


def nobs_z_bin(nobs_z: ArrayLike) -> NDArray[np.object_]:
    """Bin of the number of z-band exposures: (N,) int in, (N,) text out; None below one exposure."""
    import numpy as np

    names = np.array([None, *NOBS_Z_BINS], dtype=object)
    return names[np.searchsorted(NOBS_Z_EDGES, np.asarray(nobs_z), side="right")]


def nobs_z_bin_sql(column: str = "nobs_z") -> str:
    """The same bins as a DuckDB expression."""
    pairs = zip(reversed(NOBS_Z_EDGES), reversed(NOBS_Z_BINS), strict=True)
    cases = " ".join(f"WHEN {column} >= {edge} THEN '{name}'" for edge, name in pairs)
    return f"CASE {cases} END"


def confuser_category(columns: Mapping[str, ArrayLike]) -> NDArray[np.object_]:
    """Hard-confuser class of each row, None where there is none; the first rule that holds wins.

    Parameters
    ----------
    columns : mapping of (N,) arrays
        The CONFUSER_COLUMNS: Tractor type (text), flux_r in nanomaggies, mag_r and g_minus_r in AB magnitudes
        as observed, shape_r in arcsec, shape_e1, shape_e2 and sersic without unit. NaN is unknown.
    """
    import numpy as np

    kind = np.asarray(columns["type"]).astype("U4")
    flux_r, mag_r, g_minus_r, shape_r, e1, e2, sersic = (
        np.asarray(columns[name], np.float64) for name in CONFUSER_COLUMNS[1:]
    )
    ellipticity_squared = e1 * e1 + e2 * e2
    elongated = np.where(
        np.isnan(ellipticity_squared), shape_r >= 1.8, (ellipticity_squared >= 0.25) & (shape_r >= 0.6)
    )
    rules = {
        "ring_proxy": (flux_r >= 5) & ((kind == "DEV") | ((kind == "SER") & (sersic >= 4))),
        "edge_on_proxy": np.isin(kind, ("EXP", "SER", "DEV")) & elongated,
        "blue_clumpy": (g_minus_r <= 0.4) & (mag_r <= 20.5),
        "large_galaxy": (shape_r >= 2.0) & (flux_r >= 3),
    }
    category = np.full(kind.shape, None, dtype=object)
    for name in reversed(CONFUSERS):
        category[rules[name]] = name
    return category


def confuser_sql() -> str:
    """The same classes as a DuckDB expression over columns of the same names."""

    def number(name: str) -> str:  # DuckDB sorts NaN above every number: make it the null it stands for
        return f"(CASE WHEN isnan({name}) THEN NULL ELSE {name}::DOUBLE END)"

    flux_r, mag_r, g_minus_r, shape_r, e1, e2, sersic = (number(name) for name in CONFUSER_COLUMNS[1:])
    squared = f"({e1} * {e1} + {e2} * {e2})"
    return (
        f"CASE WHEN {flux_r} >= 5 AND (type = 'DEV' OR (type = 'SER' AND {sersic} >= 4)) THEN 'ring_proxy'"
        f" WHEN type IN ('EXP', 'SER', 'DEV') AND CASE WHEN {squared} IS NULL THEN {shape_r} >= 1.8"
        f" ELSE {squared} >= 0.25 AND {shape_r} >= 0.6 END THEN 'edge_on_proxy'"
        f" WHEN {g_minus_r} <= 0.4 AND {mag_r} <= 20.5 THEN 'blue_clumpy'"
        f" WHEN {shape_r} >= 2.0 AND {flux_r} >= 3 THEN 'large_galaxy' END"
    )


def pool_of(category: NDArray[np.object_]) -> NDArray[np.object_]:
    """N2 where there is a confuser class, N1 elsewhere."""
    import numpy as np

    return np.where([name is None for name in category], *POOLS).astype(object)
