"""Columns of a catalogue by lensctl's names: looked up in the survey's mapping, and converted to our units."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lensctl.io.tables import units
from lensctl.io.tables.declared_types import fitted
from lensctl.rules import derived, schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey
from lensctl.rules.survey_parts import CatalogColumn

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

AB_ZERO_POINT_JY = 3631.0
"""Flux density of AB magnitude 0 (Oke & Gunn 1983, ApJ 266, 713), hence of a maggy."""

PRIMARY = "brick_primary"
"""Column of Tractor files: whether the object is its brick's own."""

UNKNOWN_MAG = 90.0
"""Catalogues write magnitudes such as 99 and -99 where there is none."""


class CatalogBatch(Protocol):
    """Some rows of a catalogue file.

    Attributes
    ----------
    first : int
        Row number of its first row in the file.
    """

    first: int

    def __len__(self) -> int:
        """Number of rows."""

    def column(self, name: str, rows: NDArray[np.int64] | None = None) -> pa.Array | pa.ChunkedArray:
        """The values of a column as the file has them, in all or some rows."""


def needed(survey: Survey) -> tuple[str, ...]:
    """Columns that a catalogue of the survey must have: all of its own, or those it maps from other names."""
    if not survey.columns:
        return derived.required(survey)
    own_id = ("galaxy_id",) if "galaxy_id" in survey.columns else ("brickname", "objid")
    return tuple(dict.fromkeys(("ra", "dec", *own_id, *survey.columns)))


def carried(survey: Survey) -> tuple[str, ...]:
    """Columns that are kept where a catalogue has them."""
    if not survey.columns:
        return derived.optional(survey)
    return tuple(name for name in (*derived.required(survey), *derived.optional(survey)) if name not in needed(survey))


def source_of(name: str, survey: Survey) -> CatalogColumn:
    """Where a column comes from: the survey's mapping, or the catalogue's column of that name."""
    return survey.columns.get(name) or CatalogColumn(name)


def is_converted(source: CatalogColumn) -> bool:
    """Whether the survey says a unit or factor of a catalogue's column, other than lensctl's own."""
    return bool(source.unit) or source.factor != 1.0


def refuse_other_units(found: Mapping[str, str], path: str, survey: Survey) -> None:
    """Raise InputError for a column in another unit than it is read in; what the survey converts is as it says."""
    sources = {name: source_of(name, survey) for name in schema.columns(survey)}
    plain = {
        name: source.column.lower()
        for name, source in sources.items()
        if source.column is not None and not is_converted(source)
    }
    units.refuse_other({name: found[column] for name, column in plain.items() if column in found}, path, survey)


def found_in(names: Collection[str], wanted: Collection[str], survey: Survey) -> list[str]:
    """Those of the wanted columns that a catalogue with these lower-case names has, or that are constant."""
    sources = {name: source_of(name, survey).column for name in wanted}
    return [name for name, column in sources.items() if column is None or column.lower() in names]


class NamedBatch:
    """A batch with the survey's names, types and units.

    Raises InputError for a unit that cannot be converted, or a value that does not fit its column's declared type.
    """

    def __init__(self, batch: CatalogBatch, survey: Survey, where: str) -> None:
        self.first, self._batch, self._survey, self._where = batch.first, batch, survey, where

    def __len__(self) -> int:
        return len(self._batch)

    def values(self, name: str) -> NDArray[Any]:
        """A column: numbers (NaN where unknown), truth values (false where unknown), or text as bytes."""
        return as_numpy(self.column(name))

    def take(self, rows: NDArray[np.int64], names: Sequence[str]) -> pa.Table:
        """Some columns of some rows; what is unknown is null."""
        import pyarrow as pa

        return pa.table({name: self.column(name, rows) for name in names})

    def column(self, name: str, rows: NDArray[np.int64] | None = None) -> pa.Array | pa.ChunkedArray:
        """A column in all or some rows, of its declared type; what is unknown (NaN, infinite, empty) is null."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        source = source_of(name, self._survey)
        if source.column is None:
            return pa.repeat(source.constant, len(self) if rows is None else len(rows))
        found = self._batch.column(source.column.lower(), rows)
        kinds = {PRIMARY: pa.bool_()}
        if name in schema.columns(self._survey):
            kinds[name] = schema.arrow_type(name, self._survey)
        numbers = range(self.first, self.first + len(self)) if rows is None else self.first + rows
        fit = functools.partial(fitted, name=name, where=self._where, survey=self._survey, rows=numbers)
        if is_converted(source):
            found = pa.array(converted(as_numpy(fit(found, pa.float64())), source, name, self._survey))
        if name in kinds:
            found = fit(found, kinds[name])
        if pa.types.is_floating(found.type) and not np.isfinite(as_numpy(found)).all():
            found = pc.if_else(pc.is_finite(found), found, pa.scalar(None, found.type))
        return found


def as_numpy(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """A column as numbers (null is NaN), truth values (null is false), or text as bytes (null is empty)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        column = pc.fill_null(column, False)
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        known = pc.fill_null(column.cast(pa.string()), "")
        sizes = pc.min_max(pc.binary_length(known)).as_py()
        if sizes["min"] and sizes["min"] == sizes["max"]:
            _, offsets, letters = known.buffers()
            begin = np.frombuffer(offsets, np.int32)[known.offset]
            return np.frombuffer(letters, f"S{sizes['min']}", len(known), begin)
        coded = known.dictionary_encode()
        texts = np.array([*coded.dictionary.to_pylist(), ""])
        return np.asarray(np.char.encode(texts, "utf-8")[coded.indices.to_numpy()])
    return np.asarray(column.to_numpy(zero_copy_only=False))


def converted(values: NDArray[Any], source: CatalogColumn, name: str, survey: Survey) -> NDArray[Any]:
    """Values of a catalogue's column in lensctl's unit: (N,).

    AB magnitudes become nanomaggies; of a depth they are the 5-sigma limit, and become its inverse variance.
    """
    import numpy as np

    if not is_converted(source):
        return values
    values = np.asarray(values, np.float64) * source.factor
    wanted = schema.columns(survey)[name].unit if name in schema.columns(survey) else ""
    if source.unit in ("", wanted):
        return values
    if source.unit == "mag" and "nanomaggy" in wanted:
        known = np.abs(values) < UNKNOWN_MAG
        flux = np.where(known, 10 ** ((22.5 - np.where(known, values, 0.0)) / 2.5), np.nan)
        return 25.0 / flux**2 if wanted == "1/nanomaggy^2" else flux
    return values * _unit_factor(source.unit, wanted, name, survey)


def _unit_factor(unit: str, wanted: str, name: str, survey: Survey) -> float:
    from astropy import units as u

    equivalencies = [
        *u.zero_point_flux(AB_ZERO_POINT_JY * u.Jy),
        *u.pixel_scale(survey.pixel_scale_arcsec * u.arcsec / u.pixel),
    ]
    try:
        return float(u.Unit(unit).to(u.Unit(wanted.replace("nanomaggy", "nmgy")), equivalencies=equivalencies))
    except (ValueError, TypeError, u.UnitConversionError) as error:
        raise InputError(
            f"survey {survey.name}: column {name} in '{unit}' cannot be converted to '{wanted or 'a number'}'",
            "give a unit such as mag, uJy, deg, arcsec or pixel, or a factor",
        ) from error
