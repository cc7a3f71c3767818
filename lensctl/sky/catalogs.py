"""Writes Tractor catalogues, sweeps and the brick table as FITS files in the survey's format."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.sky import columns
from lensctl.sky.bricks import Brick, brick_table
from lensctl.sky.coadds import mock_cards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SWEEP_DEG = 5


def write_tractor(root: Path, brick: Brick, rows: NDArray[Any]) -> None:
    """Write south/tractor/AAA/tractor-BRICK.fits."""
    path = root / "south" / "tractor" / brick.folder / f"tractor-{brick.name}.fits"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_table(path, rows)


def write_sweeps(root: Path, rows: NDArray[Any]) -> int:
    """Write all Tractor rows to south/sweep/10.0/sweep-*.fits of 5 x 5 degrees; returns the number of files."""
    folder = root / "south" / "sweep" / "10.0"
    folder.mkdir(parents=True, exist_ok=True)
    names = sweep_names(rows["ra"], rows["dec"])
    for name in np.unique(names):
        _write_table(folder / str(name), columns.sweep_rows(rows[names == name]))
    return len(np.unique(names))


def sweep_names(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.str_]:
    """Sweep file of each position (degrees): sweep-RRRsDDD-RRRsDDD.fits, lower and upper corner, s is p or m."""
    low_ra, low_dec = (np.floor(v / SWEEP_DEG).astype(int) * SWEEP_DEG for v in (ra, dec))
    corners = [
        [f"{r:03d}{'m' if d < 0 else 'p'}{abs(d):03d}" for r, d in zip(low_ra + step, low_dec + step, strict=True)]
        for step in (0, SWEEP_DEG)
    ]
    return np.array([f"sweep-{low}-{high}.fits" for low, high in zip(*corners, strict=True)])


def write_bricks(root: Path, bricks: Sequence[Brick]) -> None:
    """Write survey-bricks.fits.gz with the bricks of the mock."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "survey-bricks.fits"
        _write_table(plain, brick_table(list(bricks)))
        packed = gzip.compress(plain.read_bytes(), mtime=0)
    (root / "survey-bricks.fits.gz").write_bytes(packed)


def _write_table(path: Path, rows: NDArray[Any]) -> None:
    import fitsio

    names = rows.dtype.names or ()
    units = [columns.unit(name.lower()) for name in names]
    with fitsio.FITS(str(path), "rw", clobber=True) as file:
        file.write_table(rows, units=units, header=mock_cards())
        file[0].write_keys(mock_cards(), clean=False)
