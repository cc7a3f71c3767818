"""Bins of the number of z-band exposures, and the Tractor types in the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

TYPES = ("SER", "DEV", "REX")
"""Tractor types of the pool; EXP is left out."""

NOBS_Z_BINS = ("1-2", "3-5", "6-10", "11+")
NOBS_Z_EDGES = (1, 3, 6, 11)


def nobs_z_bin(nobs_z: ArrayLike) -> NDArray[np.object_]:
    """Bin of the number of z-band exposures: (N,) int in, (N,) text out; None below one exposure."""
    import numpy as np

    names = np.array([None, *NOBS_Z_BINS], dtype=object)
    return names[np.searchsorted(NOBS_Z_EDGES, np.asarray(nobs_z), side="right")]
