"""The split rule: which part of the sky is train, val and test. The same rule in Python and in SQL.

A HEALPix pixel (nside 128, nested) belongs entirely to one split, decided by
u = (first 4 bytes, big-endian, of SHA-256 of the ASCII text "{pixel}_{seed}") / 2**32.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

from lensctl.rules.survey import LS_DR10, SHARE_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

NSIDE = 128
SPLITS = tuple(SHARE_TOLERANCE)
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
    import numpy as np

    ra, dec = np.asarray(ra, float), np.asarray(dec, float)
    if not (np.abs(dec) <= 90).all():
        raise ValueError("a declination is NaN or beyond a pole")
    return np.asarray(_ang2pix_nest()(nside, np.pi / 2.0 - np.radians(dec), np.radians(ra)), np.int64)


@functools.cache
def _ang2pix_nest() -> Callable[..., Any]:
    """healpy's pixel function of colatitude and longitude (radians), without the plotting that `import healpy` loads.

    Halves the start-up time of a worker process; falls back to `import healpy` if its layout differs.
    """
    from importlib.machinery import ModuleSpec, PathFinder
    from importlib.util import find_spec, module_from_spec

    package = find_spec("healpy")
    found: ModuleSpec | None = PathFinder.find_spec(
        "_healpy_pixel_lib", package.submodule_search_locations if package else None
    )
    if found is not None and found.loader is not None:
        library = module_from_spec(found)
        found.loader.exec_module(library)
        if hasattr(library, "_ang2pix_nest"):
            pixel: Callable[..., Any] = library._ang2pix_nest
            return pixel
    import healpy

    return functools.partial(healpy.ang2pix, nest=True)


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


def split_sql(column: str, seed: int = SEED, edges: Mapping[str, float] = EDGES) -> str:
    """The same rule as a DuckDB expression over an integer pixel column."""
    u = f"(('0x' || substr(sha256({column}::BIGINT::VARCHAR || '_{seed}'), 1, 8))::BIGINT / 4294967296.0)"
    cases = " ".join(f"WHEN {u} < {upper} THEN '{split}'" for split, upper in edges.items())
    return f"CASE WHEN {column} IS NULL THEN NULL {cases} END"
