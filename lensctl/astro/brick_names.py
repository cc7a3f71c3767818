"""Where a brick lies by its name: 0109p255 is at right ascension 10.9 and declination +25.5 degrees.

A position far from the brick it names is not in degrees, or belongs to another row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

OTHER_UNITS = {"hours": (15.0, 1.0), "radians": (float(np.degrees(1.0)), float(np.degrees(1.0)))}
"""What right ascension and declination are often given in besides degrees, and the factors that make them degrees."""

REACH_BRICKS = 2.0
"""Positions of a brick lie nearer to its centre than this many heights of a brick."""

_PLACES = np.array([1000, 100, 10, 1, 0, 100, 10, 1]) / 10
_SIGN = 4


def centres(names: NDArray[np.bytes_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension and declination (degrees) of bricks by their names, to 0.05 degrees: (N,) each.

    NaN for what is no name of the survey's scheme.
    """
    letters = (
        np.ascontiguousarray(names.astype(f"S{len(_PLACES) + 1}")).view(np.uint8).reshape(len(names), len(_PLACES) + 1)
    )
    digits = letters[:, :-1].astype(np.int64) - ord("0")
    sign = np.select([letters[:, _SIGN] == ord("p"), letters[:, _SIGN] == ord("m")], [1.0, -1.0], np.nan)
    numeric = (digits >= 0) & (digits <= 9)
    numeric[:, _SIGN] = letters[:, -1] == 0  # not longer than a name
    sign[~numeric.all(axis=1)] = np.nan
    ra, dec = digits[:, :_SIGN] @ _PLACES[:_SIGN], digits[:, _SIGN + 1 :] @ _PLACES[_SIGN + 1 :]
    return ra * np.abs(sign), dec * sign


def far(
    names: NDArray[np.bytes_], ra: NDArray[np.float64], dec: NDArray[np.float64], survey: Survey
) -> NDArray[np.bool_]:
    """Whether each position (degrees) is far from the brick it names: (N,) bool, False where the name says nothing."""
    reach = REACH_BRICKS * survey.bricks.size_deg
    first = np.flatnonzero(np.concatenate([np.ones(min(len(names), 1), bool), names[1:] != names[:-1]]))
    lengths = np.diff(first, append=len(names))  # catalogues are in the order of their bricks
    of_ra, of_dec = centres(names[first])
    narrowest = np.cos(np.radians(np.minimum(np.abs(of_dec) + reach, 90.0)))
    brick_ra, brick_dec, narrow = (np.repeat(of_bricks, lengths) for of_bricks in (of_ra, of_dec, narrowest))
    across = np.abs(ra - brick_ra)
    across = np.abs(np.minimum(across, 360.0 - across)) * narrow
    return np.asarray((np.abs(dec - brick_dec) > reach) | (across > reach))


def refuse_far(table: pa.Table, where: str, survey: Survey) -> None:
    """Raise InputError if a table has `brickname` and positions far from it, with the first row and their number."""
    if "brickname" not in table.column_names:
        return
    names = np.array([(name or "").encode() for name in table["brickname"].to_pylist()], "S")
    ra, dec = (np.asarray(table[axis].to_numpy(), float) for axis in ("ra", "dec"))
    wrong = np.flatnonzero(far(names, ra, dec, survey))
    if not len(wrong):
        return
    row = wrong[0]
    fix = "give ra and dec in degrees, ICRS, each with its own brick"
    for unit, (of_ra, of_dec) in OTHER_UNITS.items():
        if not far(names, ra * of_ra, dec * of_dec, survey).any():
            fix = f"they fit if they are in {unit}: give ra and dec in degrees, ICRS"
    raise InputError(
        f"{where}: {len(wrong)} of {len(ra)} positions are not in the brick they name: "
        f"row {row} is at ra {ra[row]:.4f}, dec {dec[row]:.4f}, and brick {names[row].decode()} is not there",
        fix,
    )
