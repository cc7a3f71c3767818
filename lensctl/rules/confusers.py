"""Galaxies that may be mistaken for lenses: the confuser class, and from it the pool (N1 or N2).

The classes follow the published negative sample, using ellipticity and Sersic index. A criterion on an unknown value
(NaN) is false. Comparisons are made in float64 on the stored values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import ArrayLike, NDArray


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


def confuser_category(columns: Mapping[str, ArrayLike]) -> NDArray[np.object_]:
    """Hard-confuser class of each row, None if there is none; the first matching rule applies.

    Parameters
    ----------
    columns : mapping of (N,) arrays
        The CONFUSER_COLUMNS: Tractor type (text), flux_r in nanomaggies, mag_r and g_minus_r in AB magnitudes
        as observed, shape_r in arcsec, shape_e1, shape_e2 and sersic dimensionless. NaN is unknown.
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


def pool_of(category: NDArray[np.object_]) -> NDArray[np.object_]:
    """N2 for rows with a confuser class, otherwise N1."""
    import numpy as np

    return np.where([name is None for name in category], *POOLS).astype(object)
