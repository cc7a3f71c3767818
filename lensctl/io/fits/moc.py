"""Coverage maps (MOC) as FITS: regions of the sky as HEALPix cells of several sizes, each named by one number.

The format is NUNIQ of the IVOA's MOC 2.0 (2022, ivoa.net/documents/MOC): a cell of an order is 4 * 4**order + its
number in nested order, and four cells that make a larger one are written as that one. The numbers are in ascending
order, so that the same region is the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def uniq_of(cells: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """The numbers of a region, ascending, from its cells of one order (nested, in any order, repeats allowed)."""
    found, left = [], np.unique(np.asarray(cells, np.int64))
    for depth in range(order, -1, -1):
        parents, count = np.unique(left >> 2, return_counts=True)
        whole = parents[count == 4] if depth else parents[:0]
        found.append(left[~np.isin(left >> 2, whole)] + 4 * 4**depth)
        left = whole
    return np.sort(np.concatenate(found))


def write_moc(path: Path, cells: NDArray[np.int64], order: int) -> None:
    """Write a region, given by its cells of one order, to a new file; it may be empty."""
    from astropy.io import fits

    uniq = uniq_of(cells, order)
    table = fits.BinTableHDU.from_columns([fits.Column("UNIQ", "1K", array=uniq)])
    table.header["MOCVERS"] = ("2.0", "version of the MOC standard")
    table.header["MOCDIM"] = ("SPACE", "a region of the sky")
    table.header["ORDERING"] = ("NUNIQ", "4 * 4**order + cell")
    table.header["COORDSYS"] = ("C", "ICRS")
    table.header["MOCORD_S"] = (order, "order of the smallest cells")
    table.header["MOCORDER"] = (order, "the same, in version 1")
    table.header["PIXTYPE"] = "HEALPIX"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
