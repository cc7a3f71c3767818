"""Columns of a catalogue by lensctl's names: looked up in the survey's mapping, and converted to our units."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lensctl.io.tables import units
from lensctl.rules import derived, schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import CatalogColumn, Survey

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

AB_ZERO_POINT_JY = 3631.0
"""Flux density of AB magnitude 0 (Oke & Gunn 1983, ApJ 266, 713), hence of a maggy."""

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

    def values(self, name: str) -> NDArray[Any]:
        """A column: numbers (null is NaN for floats, -1 for integers), booleans, or text as bytes."""

    def take(self, rows: NDArray[np.int64], names: Sequence[str]) -> pa.Table:
        """Some columns of some rows."""


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
    """A batch with the survey's names and units; see `CatalogBatch`.

    Raises InputError for a unit that cannot be converted.
    """

    def __init__(self, batch: CatalogBatch, survey: Survey) -> None:
        self.first, self._batch, self._survey = batch.first, batch, survey

    def __len__(self) -> int:
        return len(self._batch)

    def values(self, name: str) -> NDArray[Any]:
        """See `CatalogBatch`."""
        import numpy as np

        source = source_of(name, self._survey)
        if source.constant is not None:
            return np.full(
                len(self), source.constant if not isinstance(source.constant, str) else source.constant.encode()
            )
        values = self._batch.values(str(source.column).lower())
        if _is_text(name, self._survey) and values.dtype.kind != "S":
            return values.astype("S")
        values = converted(values, source, name, self._survey)
        declared = schema.columns(self._survey).get(name)
        return values.astype(np.float32) if declared is not None and declared.type == "float" else values

    def take(self, rows: NDArray[np.int64], names: Sequence[str]) -> pa.Table:
        """See `CatalogBatch`."""
        import pyarrow as pa

        sources = {name: source_of(name, self._survey) for name in names}
        raw = dict.fromkeys(str(s.column).lower() for s in sources.values() if s.column is not None)
        table = self._batch.take(rows, list(raw))
        columns = {}
        for name, source in sources.items():
            if source.column is None:
                columns[name] = pa.repeat(source.constant, len(rows))
            elif is_converted(source):
                values = table[source.column.lower()].cast("double").to_numpy()
                columns[name] = pa.array(converted(values, source, name, self._survey))
            else:
                columns[name] = table[source.column.lower()]
        return pa.table(columns)


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


def _is_text(name: str, survey: Survey) -> bool:
    declared = schema.columns(survey).get(name)
    return declared is not None and declared.type == "string"
