"""Units that a file gives for its columns, compared with those that lensctl reads them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lensctl.io.fits.tables import UNIT
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa

DEGREES = ("deg", "degree", "degrees", "deg.", "°")
COMPARED = ("arcsec", "nanomaggy", "1/nanomaggy^2")
"""Units of measured columns; of others, such as magnitudes, there is but one."""


def given(fields: pa.Schema) -> dict[str, str]:
    """The unit of each column that has one, by name."""
    return {f.name: f.metadata[UNIT].decode() for f in fields if f.metadata and UNIT in f.metadata}


def refuse_other(units: Mapping[str, str], where: str, survey: Survey = LS_DR10) -> None:
    """Raise InputError for a column that its file gives in another unit than lensctl reads it in.

    Parameters
    ----------
    units : mapping
        Unit of each column, by lensctl's name, as the file spells it; a spelling that is not known is another unit for
        a position alone.
    where : str
        The file.
    """
    for name, unit in units.items():
        declared = schema.columns(survey).get(name.lower())
        if declared is not None and unit.strip() and _differs(unit.strip(), declared.unit):
            raise InputError(
                f"{where}: column '{name}' is in {unit.strip()!r} as the file says, and is read in {declared.unit}",
                f"convert it to {declared.unit}, or say its unit in the columns of a --survey file",
            )


def _differs(unit: str, wanted: str) -> bool:
    if unit == wanted or wanted not in ("deg", *COMPARED):
        return False
    if wanted == "deg":
        return unit.casefold() not in DEGREES
    from astropy import units as u

    try:
        return bool(u.Unit(unit) != u.Unit(wanted))
    except (ValueError, TypeError):
        return False
