"""Origin of the pixels of cutouts: source, layer, release, pixel scale and side of the survey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.cutouts.by_manifest import Cutouts
    from lensctl.rules.survey import Survey

UNKNOWN = "unknown"


def of(manifest: pa.Table, cutouts: Cutouts, survey: Survey) -> dict[str, NDArray[np.str_]]:
    """Origin of each row of a manifest, by kind: (N,) text each, `unknown` if not recorded.

    `survey` is north or south for the survey's own layer, if that serves another release's pixels in the north under
    its own name; it is the layer elsewhere.
    """
    facts = cutouts.facts("source", "layer", "release", "pixel_scale_arcsec")
    found = {name: _text(facts[name]) for name in facts.column_names}
    found["survey"] = found["layer"]
    if survey.northern_layer:
        ra, dec = (np.asarray(manifest[name].to_numpy(), float) for name in ("ra", "dec"))
        side = np.where(survey.is_north(ra, dec), "north", "south")
        found["survey"] = np.where(found["layer"] == survey.layer, side, found["layer"])
    return found


def _text(column: pa.ChunkedArray) -> NDArray[np.str_]:
    names = (
        UNKNOWN if value is None else f"{value:g}" if isinstance(value, float) else value
        for value in column.to_pylist()
    )
    return np.array(list(names), dtype=str)
