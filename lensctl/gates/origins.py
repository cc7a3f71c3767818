"""Origin of the pixels of cutouts: source, layer, release, pixel scale and side of the survey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.cutouts.by_manifest import Cutouts

UNKNOWN = "unknown"


def of(manifest: pa.Table, cutouts: Cutouts) -> dict[str, NDArray[np.str_]]:
    """Origin of each row of a manifest, by kind: (N,) text each, `unknown` if not recorded.

    `survey` is north or south for the survey's own layer, which serves another release's pixels in the north under
    its own name; it is the layer elsewhere.
    """
    facts = cutouts.facts("source", "layer", "release", "pixel_scale_arcsec")
    found = {name: _text(facts[name]) for name in facts.column_names}
    ra, dec = (np.asarray(manifest[name].to_numpy(), float) for name in ("ra", "dec"))
    side = np.where(LS_DR10.is_north(ra, dec), "north", "south")
    found["survey"] = np.where(found["layer"] == LS_DR10.layer, side, found["layer"])
    return found


def _text(column: pa.ChunkedArray) -> NDArray[np.str_]:
    names = (
        UNKNOWN if value is None else f"{value:g}" if isinstance(value, float) else value
        for value in column.to_pylist()
    )
    return np.array(list(names), dtype=str)
