"""Redshifts of hosts: measured ones, else those at which passive galaxies have their colours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MEASURED = "z_phot"
COLOUR = "colour"


def transmissions(survey: Survey) -> tuple[str, ...]:
    """Columns by which colours are freed from Galactic extinction."""
    return tuple(f"mw_transmission_{band}" for band in dict.fromkeys(band for pair in survey.colours for band in pair))


def columns(survey: Survey, there: Collection[str]) -> tuple[str, ...]:
    """Columns of a pool with these that a redshift may come from."""
    return tuple(name for name in (MEASURED, *survey.colour_columns, *transmissions(survey)) if name in there)


def host_redshifts(column: Mapping[str, Floats], rows: int, survey: Survey) -> tuple[pa.Array, pa.Array]:
    """Redshift of each host and where it is from, null where neither is known.

    Parameters
    ----------
    column : mapping of (N,) float64
        Those of `columns`, NaN where unknown. A z_phot that is not above 0, such as -99, is unknown.
    rows : int
    survey : Survey
        Colours are compared only if its `colour_redshift` has the columns of both its colours.

    Returns
    -------
    z_host, z_source : (N,) float32 and text
    """
    import pyarrow as pa

    unknown = np.full(rows, np.nan)
    measured = column.get(MEASURED, unknown)
    measured = np.where(np.isfinite(measured) & (measured > 0), measured, np.nan)
    of_colour = redshift_of_colours(column, survey) if _has_colours(column, survey) else unknown
    z = np.where(np.isnan(measured), of_colour, measured)
    source = np.where(np.isnan(measured), COLOUR, MEASURED).astype(object)
    source[np.isnan(z)] = None
    return pa.array(z.astype(np.float32), pa.float32(), from_pandas=True), pa.array(source, pa.string())


def redshift_of_colours(column: Mapping[str, Floats], survey: Survey) -> Floats:
    """Redshift of the nearest point of the line of passive galaxies in the plane of the two colours.

    Colours are corrected for Galactic extinction where the transmissions are there.

    Returns
    -------
    (N,) float64
        NaN where a colour is unknown, or the line is farther away than `within_mag`.
    """
    table = survey.colour_redshift
    z = np.array(table.redshift)
    line = np.array([table.colours[name] for name in survey.colour_columns]).T
    colours = np.stack([_intrinsic(column, name, pair) for name, pair in _pairs(survey)], axis=1)
    best, found = np.full(len(colours), np.inf), np.full(len(colours), np.nan)
    for k in range(len(z) - 1):
        step = line[k + 1] - line[k]
        along = np.clip((colours - line[k]) @ step / max(step @ step, np.finfo(float).tiny), 0.0, 1.0)
        distance = np.linalg.norm(colours - line[k] - along[:, None] * step, axis=1)
        nearer = distance < best
        best[nearer], found[nearer] = distance[nearer], (z[k] + along * (z[k + 1] - z[k]))[nearer]
    return np.asarray(np.where(best <= table.within_mag, found, np.nan))


def _pairs(survey: Survey) -> list[tuple[str, tuple[str, str]]]:
    return list(zip(survey.colour_columns, survey.colours, strict=True))


def _has_colours(column: Mapping[str, Floats], survey: Survey) -> bool:
    return all(name in survey.colour_redshift.colours and name in column for name in survey.colour_columns)


def _intrinsic(column: Mapping[str, Floats], name: str, pair: tuple[str, str]) -> Floats:
    """A colour without Galactic extinction: mag + 2.5 log10(transmission) in each band."""
    names = [f"mw_transmission_{band}" for band in pair]
    if not all(each in column for each in names):
        return column[name]
    bluer, redder = (column[each] for each in names)
    with np.errstate(divide="ignore", invalid="ignore"):
        corrected = column[name] + 2.5 * np.log10(bluer / redder)
    return np.where(np.isfinite(corrected), corrected, np.nan)
