"""Units that a file gives for its columns, compared with those that lensctl reads them in."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lensctl.io.fits.tables import UNIT
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa

DEGREES = ("deg", "degree", "degrees", "deg.", "°")
COMPARED = ("arcsec", "nanomaggy", "1/nanomaggy^2")
"""Units of measured columns; of others, such as magnitudes, there is but one."""


ASTROPY = b"table_meta_yaml"
"""Where astropy keeps the units of a parquet table."""


def given(fields: pa.Schema) -> dict[str, str]:
    """The unit of each column that has one, by name."""
    own = {f.name: f.metadata[UNIT].decode() for f in fields if f.metadata and UNIT in f.metadata}
    return {**_by_astropy((fields.metadata or {}).get(ASTROPY, b"")), **own}


@functools.lru_cache(maxsize=64)  # files of one table mostly have the same
def _by_astropy(text: bytes) -> Mapping[str, str]:
    """Units in astropy's description of a table, of which no value is made; none if it cannot be read.

    It lists `{name: ra, unit: deg, datatype: float64}` under `datatype`, and any other values after it, under `meta`.
    """
    import yaml

    try:
        root = yaml.compose(text.partition(b"\nmeta:")[0].decode(), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return {}
    listed = _entries(root).get("datatype")
    columns = map(_entries, listed.value if isinstance(listed, yaml.SequenceNode) else ())
    return {str(c["name"].value): str(c["unit"].value) for c in columns if {"name", "unit"} <= set(c)}


def _entries(node: Any) -> dict[str, Any]:
    """The nodes of a YAML mapping by key; none of any other node."""
    import yaml

    return {str(key.value): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def refuse_unlike(files: Sequence[str], found: Sequence[pa.Schema]) -> None:
    """Raise InputError if files of one table give a column in two units."""
    first: dict[str, tuple[str, str]] = {}
    for file, fields in zip(files, found, strict=True):
        for name, unit in given(fields).items():
            where, other = first.setdefault(name, (file, unit))
            if other != unit:
                raise InputError(
                    f"column '{name}' is in {other!r} in {where} and in {unit!r} in {file}", "convert one of them"
                )


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
