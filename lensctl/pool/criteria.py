"""Selection criteria for negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.rules.bins import TYPES
from lensctl.rules.derived import magnitude
from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lensctl.io.tables import sweeps


@dataclass(frozen=True)
class Criteria:
    """Selection criteria for negatives; magnitudes are observed AB, angles degrees or arcsec.

    `masked_bits` are the bits of maskbits that reject a row; None means any bit.
    """

    types: tuple[str, ...] = TYPES
    min_nobs_g: int = 1
    min_nobs_r: int = 1
    min_nobs_z: int = 3
    masked_bits: tuple[int, ...] | None = None
    max_mag_z: float | None = None
    min_dec: float | None = None
    max_dec: float | None = None
    exclude_arcsec: float = 11.0


PRESETS = {
    "plan": Criteria(),
    "paper4": Criteria(
        min_nobs_g=3,
        min_nobs_r=3,
        masked_bits=(1, 5, 6, 7, 11, 12, 13),
        max_mag_z=20.0,
        min_dec=-18.0,
        max_dec=32.0,
    ),
}


def tests_of(values: sweeps.Values, criteria: Criteria) -> dict[str, NDArray[np.bool_]]:
    """Each criterion by name, True where a row passes; NaN never passes."""
    import numpy as np

    bits = -1 if criteria.masked_bits is None else sum(1 << bit for bit in criteria.masked_bits)
    tests = {
        f"type not {'/'.join(criteria.types)}": np.isin(values("type"), [kind.encode() for kind in criteria.types]),
        "maskbits": (values("maskbits") & bits) == 0,
    }
    for band, least in zip(LS_DR10.bands, (criteria.min_nobs_g, criteria.min_nobs_r, criteria.min_nobs_z), strict=True):
        tests[f"nobs_{band} < {least}"] = values(f"nobs_{band}") >= least
    if criteria.max_mag_z is not None:
        tests[f"mag_z >= {criteria.max_mag_z:g}"] = magnitude(values("flux_z")) < criteria.max_mag_z
    if criteria.min_dec is not None and criteria.max_dec is not None:
        tests["dec"] = (values("dec") > criteria.min_dec) & (values("dec") < criteria.max_dec)
    return tests
