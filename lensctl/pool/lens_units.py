"""Whether lenses are given in degrees: those in another unit lie near nothing, and would stay in the pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import geometry
from lensctl.astro.brick_names import OTHER_UNITS
from lensctl.pool.parts import Part, batches
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_ARCSEC = 2.0
"""A lens and its galaxy are nearer than this."""
LEAST_ROWS, LEAST_SHARE = 3, 0.01
"""Rows at the place of a lens, at least, and as a share of all lenses: fewer may be chance."""


def refuse_other_units(
    parts: Sequence[Part], lens_ra: NDArray[np.float64], lens_dec: NDArray[np.float64], near: int
) -> None:
    """Raise InputError if lenses would lie on more rows of the pool in hours or radians than in degrees.

    Parameters
    ----------
    parts : sequence of Part
        The rows kept, that is, not near a lens.
    lens_ra, lens_dec : (L,) float64
        Positions of lenses as given.
    near : int
        Number of rows left out as near a lens.
    """
    for unit, (of_ra, of_dec) in OTHER_UNITS.items():
        ra, dec = lens_ra * of_ra, lens_dec * of_dec
        if not len(ra) or ra.max() > 360.0 or np.abs(dec).max() > 90.0:
            continue
        places = geometry.Neighbourhood(ra, dec, SAME_ARCSEC)
        found = 0
        for part in parts:
            for rows in batches(part):
                found += int(places.holds(rows["ra"].to_numpy(), rows["dec"].to_numpy()).sum())
        if found > max(near, LEAST_ROWS - 1, LEAST_SHARE * len(ra)):
            raise InputError(
                f"the lens catalogues are in {unit}: so read, {found} rows lie within {SAME_ARCSEC:g} arcsec "
                f"of a lens, and in degrees {near} lie near one",
                "give ra and dec of the lenses in degrees, ICRS",
            )
