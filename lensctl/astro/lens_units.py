"""Whether lenses are given in degrees: those in another unit lie near nothing, and would stay among the negatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.brick_names import OTHER_UNITS
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Position = tuple[NDArray[np.float64], NDArray[np.float64]]

SAME_ARCSEC = 2.0
"""A lens and its galaxy are nearer than this."""
LEAST_ROWS, LEAST_SHARE = 3, 0.01
"""Rows at the place of a lens, at least, and as a share of all lenses: fewer may be chance."""


def other_readings(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> dict[str, Position]:
    """Where lenses would lie, in degrees, if they were given in another unit, by that unit.

    Units in which a lens would lie beyond the sky are left out.
    """
    readings = {unit: (ra * of_ra, dec * of_dec) for unit, (of_ra, of_dec) in OTHER_UNITS.items()}
    return {unit: at for unit, at in readings.items() if len(ra) and at[0].max() <= 360.0 and np.abs(at[1]).max() <= 90}


def refuse_other_units(found: Mapping[str, int], near: int, lenses: int) -> None:
    """Raise InputError if lenses would lie on more rows in hours or radians than in degrees.

    Parameters
    ----------
    found : mapping
        Number of rows within SAME_ARCSEC of a lens, by the unit in which the lenses are read.
    near : int
        Number of rows near a lens as they are given.
    lenses : int
        Number of lenses.
    """
    for unit, rows in found.items():
        if rows > max(near, LEAST_ROWS - 1, LEAST_SHARE * lenses):
            raise InputError(
                f"the lens catalogues are in {unit}: so read, {rows} rows lie within {SAME_ARCSEC:g} arcsec "
                f"of a lens, and in degrees {near} lie near one",
                "give ra and dec of the lenses in degrees, ICRS",
            )
