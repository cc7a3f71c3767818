"""Whether lenses are given in degrees: those in another unit lie near nothing, and would stay among the negatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
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
"""Rows at the place of a lens, at least, and as a share of a catalogue's lenses: fewer may be chance."""
DEGREES = "degrees"

RowsNear = Mapping[str, Counter[str]]
"""Number of rows at the place of a lens, by the unit in which the lenses are read, then by number of the catalogue."""


@dataclass(frozen=True)
class Lenses:
    """Lenses to avoid, catalogue by catalogue.

    Attributes
    ----------
    names : tuple of str
        What the catalogues are called in messages.
    places : tuple of (ra, dec)
        Positions of each catalogue's lenses, degrees, (L,) float64 both.
    """

    names: tuple[str, ...]
    places: tuple[Position, ...]

    def __len__(self) -> int:
        return sum(len(ra) for ra, _ in self.places)

    @property
    def every(self) -> Position:
        """Positions of all of them."""
        ra, dec = (np.concatenate([np.zeros(0), *(place[axis] for place in self.places)]) for axis in (0, 1))
        return ra, dec

    def readings(self) -> dict[tuple[str, str], Position]:
        """Where the lenses of each catalogue would lie, by another unit and number of the catalogue."""
        return {
            (unit, str(number)): at
            for number, place in enumerate(self.places)
            for unit, at in other_readings(*place).items()
        }


def other_readings(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> dict[str, Position]:
    """Where lenses would lie, in degrees, if they were given in another unit, by that unit.

    Units in which a lens would lie beyond the sky are left out.
    """
    readings = {unit: (ra * of_ra, dec * of_dec) for unit, (of_ra, of_dec) in OTHER_UNITS.items()}
    return {unit: at for unit, at in readings.items() if len(ra) and at[0].max() <= 360.0 and np.abs(at[1]).max() <= 90}


def refuse_other_units(found: RowsNear, lenses: Lenses) -> None:
    """Raise InputError for a catalogue whose lenses lie on more rows in hours or radians than in degrees.

    Parameters
    ----------
    found : mapping
        Number of rows within SAME_ARCSEC of a lens read in another unit; in degrees, of rows near a lens as given.
    """
    for number, (name, (ra, _)) in enumerate(zip(lenses.names, lenses.places, strict=True)):
        near = found.get(DEGREES, Counter())[str(number)]
        for unit, counts in found.items():
            rows = counts[str(number)]
            if unit != DEGREES and rows > max(near, LEAST_ROWS - 1, LEAST_SHARE * len(ra)):
                raise InputError(
                    f"{name}: its lenses are in {unit}: so read, {rows} rows lie within {SAME_ARCSEC:g} arcsec "
                    f"of a lens, and in degrees {near} lie near one",
                    "give ra and dec of the lenses in degrees, ICRS",
                )
