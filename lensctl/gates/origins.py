"""Origin of the pixels of cutouts: source, layer, release, pixel scale and side of the survey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.cutouts.by_manifest import Cutouts

NORTH_DEC = 32.375
SERVES_BOTH = "ls-dr10"
UNKNOWN = "unknown"


def of(manifest: pa.Table, cutouts: Cutouts) -> dict[str, NDArray[np.str_]]:
    """Origin of each row of a manifest, by kind: (N,) text each, `unknown` if not recorded.

    `survey` is north or south for layer ls-dr10, which serves DR9's northern pixels above Dec +32.375 (north of the
    Galactic plane) under the release's own name; it is the layer elsewhere.
    """
    facts = cutouts.facts("source", "layer", "release", "pixel_scale_arcsec")
    found = {name: _text(facts[name]) for name in facts.column_names}
    ra, dec = (np.asarray(manifest[name].to_numpy(), float) for name in ("ra", "dec"))
    side = np.where(north(ra, dec), "north", "south")
    found["survey"] = np.where(found["layer"] == SERVES_BOTH, side, found["layer"])
    return found


def north(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where layer ls-dr10 serves northern pixels: Dec above 32.375 and north of the Galactic plane."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    above = np.asarray(dec > NORTH_DEC)
    if above.any():
        above[above] = SkyCoord(ra[above] * u.deg, dec[above] * u.deg).galactic.b.deg > 0
    return above


def _text(column: pa.ChunkedArray) -> NDArray[np.str_]:
    names = (
        UNKNOWN if value is None else f"{value:g}" if isinstance(value, float) else value
        for value in column.to_pylist()
    )
    return np.array(list(names), dtype=str)
