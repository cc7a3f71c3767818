"""The split rule: which part of the sky is train, val and test. The same rule in Python and in SQL.

A HEALPix pixel (nside 128, nested) belongs entirely to one split, decided by
u = (first 4 bytes, big-endian, of SHA-256 of the ASCII text "{pixel}_{seed}") / 2**32.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lensctl.rules.survey import LS_DR10, SHARE_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

NSIDE = 128
SPLITS = tuple(SHARE_TOLERANCE)
ROLE, CALIBRATE = "role", "calibrate"
"""Column of scores that says what a model took a row for, and its value where val was kept for thresholds."""

SEED, EDGES = LS_DR10.split_seed, LS_DR10.split_edges
"""The default survey's seed, and upper edge of u of each split; the first that holds, in this order."""


def healpix(ra: ArrayLike, dec: ArrayLike, nside: int = NSIDE) -> NDArray[np.int64]:
    """HEALPix pixel, nested scheme, of positions in degrees (ICRS).

    Parameters
    ----------
    ra, dec : (N,) float64
        Finite; right ascension in [0, 360], declination in [-90, 90].
    nside : int
        A power of two; the split rule uses 128 (27.5 arcmin pixels).
    """
    import healpy  # here, because it loads matplotlib: about 0.9 s
    import numpy as np

    ra, dec = np.asarray(ra, float), np.asarray(dec, float)
    if not (np.abs(dec) <= 90).all():
        raise ValueError("a declination is NaN or beyond a pole")
    return np.asarray(healpy.ang2pix(nside, ra, dec, nest=True, lonlat=True), np.int64)


def split_of(pixel: int, seed: int = SEED, edges: Mapping[str, float] = EDGES) -> str:
    """Split of one HEALPix pixel."""
    u = int.from_bytes(hashlib.sha256(f"{pixel}_{seed}".encode("ascii")).digest()[:4], "big") / 2**32
    return next(split for split, upper in edges.items() if u < upper)


def splits_of(pixels: NDArray[np.int64], seed: int = SEED, edges: Mapping[str, float] = EDGES) -> NDArray[np.str_]:
    """Splits of many pixels: (N,) int64 in, (N,) text out."""
    import numpy as np

    unique, inverse = np.unique(np.asarray(pixels, np.int64), return_inverse=True)
    names = np.array([split_of(int(pixel), seed, edges) for pixel in unique], dtype="U5")
    return names[inverse]


def calibrates(pixels: NDArray[np.int64], share: float, seed: int = SEED) -> NDArray[np.bool_]:
    """Whether pixels of val are kept for thresholds and calibration, out of early stopping: (N,) int64 to (N,) bool.

    Where u of "{pixel}_{seed}_calibrate", computed as for the split, is below the share.
    """
    import numpy as np

    unique, inverse = np.unique(np.asarray(pixels, np.int64), return_inverse=True)
    heads = [hashlib.sha256(f"{pixel}_{seed}_calibrate".encode("ascii")).digest()[:4] for pixel in unique.tolist()]
    u = np.array([int.from_bytes(head, "big") / 2**32 for head in heads])
    return np.asarray((u < share)[inverse], bool)


def for_thresholds(role: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which rows of val thresholds and calibration come from, by their role: those kept, or all where none were."""
    import numpy as np

    kept = np.asarray(role == CALIBRATE, bool)
    return kept if kept.any() else np.ones(len(role), bool)


def split_sql(column: str, seed: int = SEED, edges: Mapping[str, float] = EDGES) -> str:
    """The same rule as a DuckDB expression over an integer pixel column."""
    u = f"(('0x' || substr(sha256({column}::BIGINT::VARCHAR || '_{seed}'), 1, 8))::BIGINT / 4294967296.0)"
    cases = " ".join(f"WHEN {u} < {upper} THEN '{split}'" for split, upper in edges.items())
    return f"CASE WHEN {column} IS NULL THEN NULL {cases} END"
