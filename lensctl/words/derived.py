"""Columns that follow from measured ones: identity, magnitudes, colours, bins, HEALPix, split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lensctl import __version__
from lensctl.words import split, strata
from lensctl.words.schema import COLUMNS, arrow_type

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

REQUIRED = (
    "brickname",
    "objid",
    "type",
    "ra",
    "dec",
    "maskbits",
    *(f"{name}_{band}" for name in ("nobs", "flux", "psfsize", "psfdepth", "galdepth") for band in "grz"),
    "shape_r",
    "shape_e1",
    "shape_e2",
    "sersic",
)
"""Measured columns that a catalogue row must have."""

OPTIONAL = ("flux_w1", "ebv", "fitbits", *(f"mw_transmission_{band}" for band in "grz"))
"""Measured columns that are carried along where a catalogue has them."""


def with_derived(rows: pa.Table, *, seed: int = split.SEED) -> pa.Table:
    """Measured catalogue rows with everything that follows from them; columns in the order of the schema.

    Parameters
    ----------
    rows : pa.Table
        The REQUIRED columns, some of the OPTIONAL ones, and any others, which are kept.
    seed : int
        Of the split rule.
    """
    import numpy as np
    import pyarrow as pa

    columns = {name: rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names}
    derived: dict[str, np.ndarray] = {
        "galaxy_id": np.array(
            [f"{brick}_{objid}" for brick, objid in zip(columns["brickname"], columns["objid"], strict=True)],
            dtype=object,
        )
    }
    for band in ("g", "r", "z"):
        derived[f"mag_{band}"] = strata.magnitude(columns[f"flux_{band}"])
    derived["g_minus_r"] = derived["mag_g"] - derived["mag_r"]
    derived["r_minus_z"] = derived["mag_r"] - derived["mag_z"]
    if "flux_w1" in columns:
        derived["z_minus_w1"] = derived["mag_z"] - strata.magnitude(columns["flux_w1"])
    derived["nobs_z_bin"] = strata.nobs_z_bin(columns["nobs_z"])
    derived["type_bin"] = columns["type"]
    for nside in (64, 128):
        derived[f"healpix_{nside}"] = split.healpix(columns["ra"], columns["dec"], nside)
    derived["split"] = split.splits_of(derived["healpix_128"], seed)
    category = strata.confuser_category({**columns, **derived})
    derived["confuser_category"] = category
    derived["pool"] = strata.pool_of(category)
    derived["pipeline_version"] = np.full(rows.num_rows, __version__, dtype=object)
    arrays = {name: rows[name] for name in rows.column_names}
    for name, values in derived.items():  # an unknown magnitude is null, not NaN
        arrays[name] = pa.chunked_array([pa.array(values, arrow_type(name), from_pandas=True)])
    known = [name for name in COLUMNS if name in arrays]
    others = [name for name in arrays if name not in COLUMNS]
    return pa.table(
        {name: arrays[name].cast(arrow_type(name)) if name in COLUMNS else arrays[name] for name in (*known, *others)}
    )
