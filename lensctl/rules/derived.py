"""Columns derived from measured ones: identity, magnitudes, colours, bins, HEALPix, split, confuser class, pool."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from lensctl import __version__
from lensctl.rules import split
from lensctl.rules.schema import arrow_type, columns
from lensctl.rules.strata import nobs_bin
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

POOLS = ("N1", "N2")
"""Of galaxies that nothing is mistaken for, and of those that may be mistaken for lenses."""

UNIFORM = "N0"
"""Tier of negatives of a uniform draw, each row of the pool as likely, whatever its pool."""

IDENTITY = ("galaxy_id", "brickname", "objid")
_PER_BAND = ("nobs", "flux", "psfsize", "psfdepth", "galdepth")
_SHAPE = ("shape_r", "shape_e1", "shape_e2", "sersic")


def required(survey: Survey = LS_DR10) -> tuple[str, ...]:
    """Measured columns that a row of the survey's own catalogue must have."""
    per_band = (column for name in _PER_BAND for column in survey.per_band(name))
    return ("brickname", "objid", "type", "ra", "dec", "maskbits", *per_band, *_SHAPE)


def optional(survey: Survey = LS_DR10) -> tuple[str, ...]:
    """Measured columns that are kept if the survey's own catalogue has them."""
    return ("flux_w1", "ebv", "fitbits", *survey.per_band("mw_transmission"), "z_phot")


def with_derived(rows: pa.Table, survey: Survey = LS_DR10) -> pa.Table:
    """Measured catalogue rows with all derived columns added; columns in the order of the schema.

    Parameters
    ----------
    rows : pa.Table
        ra, dec, and galaxy_id or brickname and objid; any other columns, which are kept. What follows from a column
        that is not there is left out.
    survey : Survey
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = functools.cache(lambda name: _texts(rows[name]) if name == "type" else rows[name].to_numpy())
    derived: dict[str, Any] = {}
    if "galaxy_id" not in rows.column_names:
        derived["galaxy_id"] = pc.binary_join_element_wise(rows["brickname"], rows["objid"].cast(pa.string()), "_")
    derived |= magnitudes(column, rows.column_names, survey)
    if survey.depth("nobs") in rows.column_names:
        derived[survey.nobs_bin] = nobs_bin(column(survey.depth("nobs")))
    if "type" in rows.column_names:
        derived["type_bin"] = rows["type"]
    derived["healpix_128"] = split.healpix(column("ra"), column("dec"), 128)
    derived["healpix_64"] = derived["healpix_128"] >> 2  # nested: four pixels of 128 are one of 64
    derived["split"] = split.splits_of(derived["healpix_128"], survey.split_seed, survey.split_edges)
    needed = {name for text in survey.confusers.values() for name in survey.expression(text).columns}
    category = confuser_category(
        {"ra": column("ra"), **{name: column(name) for name in needed if name in rows.column_names}, **derived}, survey
    )
    derived["confuser_category"] = category
    derived["pool"] = pool_of(category)
    derived["pipeline_version"] = pa.repeat(__version__, rows.num_rows)
    arrays = {name: rows[name] for name in rows.column_names}
    for name, values in derived.items():
        arrays[name] = _column(values, arrow_type(name, survey))
    declared = columns(survey)
    known = [name for name in declared if name in arrays]
    others = [name for name in arrays if name not in declared]
    return pa.table(
        {
            name: arrays[name].cast(arrow_type(name, survey)) if name in declared else arrays[name]
            for name in (*known, *others)
        }
    )


def magnitudes(
    column: Callable[[str], NDArray[Any]], there: Collection[str], survey: Survey = LS_DR10
) -> dict[str, NDArray[np.float32]]:
    """Magnitudes and colours by column name, as far as the fluxes are there: (N,) float32."""
    bands = [*survey.bands, *(["w1"] if "w1" not in survey.bands else [])]
    found = {f"mag_{band}": magnitude(column(f"flux_{band}")) for band in bands if f"flux_{band}" in there}
    for a, b in (*survey.colours, (survey.depth_band, "w1")):
        if f"mag_{a}" in found and f"mag_{b}" in found:
            found[f"{a}_minus_{b}"] = found[f"mag_{a}"] - found[f"mag_{b}"]
    if "w1" not in survey.bands:
        found.pop("mag_w1", None)
    return found


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    """A column of few distinct short texts as a numpy array."""
    import numpy as np
    import pyarrow.compute as pc

    coded = pc.fill_null(column, "").combine_chunks().dictionary_encode()
    distinct = np.array([*coded.dictionary.to_pylist(), ""])
    return np.asarray(distinct[coded.indices.to_numpy()])


def _column(values: Any, type: pa.DataType) -> pa.ChunkedArray:
    """Values as a column of its declared type; unknown magnitudes are null, not NaN."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, np.ndarray):
        values = pa.array(values, type, from_pandas=True)
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])


def magnitude(flux: ArrayLike) -> NDArray[np.float32]:
    """AB magnitude of a flux in nanomaggies, 22.5 - 2.5 log10(flux); NaN where flux <= 0 or NaN."""
    import numpy as np

    flux = np.asarray(flux, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.where(flux > 0, 22.5 - 2.5 * np.log10(flux), np.nan)
    return magnitude.astype(np.float32)


def applied(survey: Survey, columns: Collection[str]) -> dict[str, str]:
    """The confuser rules, by class, that need no other columns than these."""
    return {
        name: text for name, text in survey.confusers.items() if set(survey.expression(text).columns) <= set(columns)
    }


def confuser_category(columns: Mapping[str, ArrayLike], survey: Survey = LS_DR10) -> NDArray[np.object_]:
    """Hard-confuser class of each row, None if there is none; the first matching rule of the survey applies.

    Parameters
    ----------
    columns : mapping of (N,) arrays
        Numbers in the declared units, NaN where unknown, and text. Rules that need others are not applied.
    survey : Survey
    """
    import numpy as np

    arrays = {name: np.asarray(values) for name, values in columns.items()}
    category = np.full(len(next(iter(arrays.values()))), None, dtype=object)
    for name, text in reversed(list(applied(survey, arrays).items())):
        category[survey.expression(text)(arrays.__getitem__)] = name
    return category


def pool_of(category: NDArray[np.object_]) -> NDArray[np.object_]:
    """N2 for rows with a confuser class, otherwise N1."""
    import numpy as np

    return np.where([name is None for name in category], *POOLS).astype(object)
