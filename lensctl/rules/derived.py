"""Columns derived from measured ones: identity, magnitudes, colours, bins, HEALPix, split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lensctl import __version__
from lensctl.rules import split
from lensctl.rules.bins import nobs_z_bin
from lensctl.rules.confusers import confuser_category, pool_of
from lensctl.rules.schema import COLUMNS, arrow_type
from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

REQUIRED = (
    "brickname",
    "objid",
    "type",
    "ra",
    "dec",
    "maskbits",
    *(f"{name}_{band}" for name in ("nobs", "flux", "psfsize", "psfdepth", "galdepth") for band in LS_DR10.bands),
    "shape_r",
    "shape_e1",
    "shape_e2",
    "sersic",
)
"""Measured columns that a catalogue row must have."""

OPTIONAL = ("flux_w1", "ebv", "fitbits", *(f"mw_transmission_{band}" for band in LS_DR10.bands))
"""Measured columns that are kept if the catalogue has them."""


_INPUTS = (
    *("ra", "dec", "nobs_z", "flux_g", "flux_r", "flux_z", "flux_w1"),
    *("shape_r", "shape_e1", "shape_e2", "sersic"),
)


def with_derived(rows: pa.Table, *, seed: int = split.SEED) -> pa.Table:
    """Measured catalogue rows with all derived columns added; columns in the order of the schema.

    Parameters
    ----------
    rows : pa.Table
        The REQUIRED columns, any of the OPTIONAL ones, and any others, which are kept.
    seed : int
        Seed of the split rule.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = {name: rows[name].to_numpy() for name in _INPUTS if name in rows.column_names}
    columns["type"] = _texts(rows["type"])
    derived: dict[str, Any] = {
        "galaxy_id": pc.binary_join_element_wise(rows["brickname"], rows["objid"].cast(pa.string()), "_")
    }
    for band in LS_DR10.bands:
        derived[f"mag_{band}"] = magnitude(columns[f"flux_{band}"])
    derived["g_minus_r"] = derived["mag_g"] - derived["mag_r"]
    derived["r_minus_z"] = derived["mag_r"] - derived["mag_z"]
    if "flux_w1" in columns:
        derived["z_minus_w1"] = derived["mag_z"] - magnitude(columns["flux_w1"])
    derived["nobs_z_bin"] = nobs_z_bin(columns["nobs_z"])
    derived["type_bin"] = rows["type"]
    derived["healpix_128"] = split.healpix(columns["ra"], columns["dec"], 128)
    derived["healpix_64"] = derived["healpix_128"] >> 2  # nested: four pixels of 128 are one of 64
    derived["split"] = split.splits_of(derived["healpix_128"], seed)
    category = confuser_category({**columns, **derived})
    derived["confuser_category"] = category
    derived["pool"] = pool_of(category)
    derived["pipeline_version"] = pa.repeat(__version__, rows.num_rows)
    arrays = {name: rows[name] for name in rows.column_names}
    for name, values in derived.items():
        arrays[name] = _column(values, name)
    known = [name for name in COLUMNS if name in arrays]
    others = [name for name in arrays if name not in COLUMNS]
    return pa.table(
        {name: arrays[name].cast(arrow_type(name)) if name in COLUMNS else arrays[name] for name in (*known, *others)}
    )


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    """A column of few distinct short texts as a numpy array."""
    import numpy as np
    import pyarrow.compute as pc

    coded = pc.fill_null(column, "").combine_chunks().dictionary_encode()
    distinct = np.array([*coded.dictionary.to_pylist(), ""])
    return np.asarray(distinct[coded.indices.to_numpy()])


def _column(values: Any, name: str) -> pa.ChunkedArray:
    """Values as a column of its declared type; unknown magnitudes are null, not NaN."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, np.ndarray):
        values = pa.array(values, arrow_type(name), from_pandas=True)
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])


def magnitude(flux: ArrayLike) -> NDArray[np.float32]:
    """AB magnitude of a flux in nanomaggies, 22.5 - 2.5 log10(flux); NaN where flux <= 0 or NaN."""
    import numpy as np

    flux = np.asarray(flux, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.where(flux > 0, 22.5 - 2.5 * np.log10(flux), np.nan)
    return magnitude.astype(np.float32)
