"""The Legacy Surveys' brick scheme: the sky divided into rows of one height, each with an even number of bricks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Brick:
    """One brick: name, number, grid position, centre and edges (degrees)."""

    name: str
    id: int
    q: int
    row: int
    col: int
    ra: float
    dec: float
    ra1: float
    ra2: float
    dec1: float
    dec2: float

    @property
    def folder(self) -> str:
        """AAA, the brick's folder on the server."""
        return self.name[:3]


@cache
def columns_per_row(size_deg: float) -> NDArray[np.int64]:
    """Number of bricks in each row, south to north, of rows this high: (180 / size + 1,) int64.

    Bricks are at most as wide as they are high where the row is widest; their number is rounded up to an even number,
    and is one at each pole.
    """
    centre = -90 + size_deg * np.arange(round(180 / size_deg) + 1)
    widest = np.maximum(np.abs(centre) - size_deg / 2, 0)
    count = np.ceil(360 / size_deg * np.cos(np.radians(widest)) - 1e-9).astype(np.int64)
    count += count % 2
    count[[0, -1]] = 1
    return np.asarray(count, np.int64)


def brick_at(ra: float, dec: float, size_deg: float) -> Brick:
    """The brick of a scheme of this height that contains a position (degrees)."""
    counts = columns_per_row(size_deg)
    row = min(int((dec + 90 + size_deg / 2) / size_deg), len(counts) - 1)
    width = 360 / counts[row]
    col = int((ra % 360) / width)
    centre_ra, centre_dec = float((col + 0.5) * width), float(-90 + row * size_deg)
    name = f"{int(centre_ra * 10 + 1e-9):04d}{'m' if centre_dec < 0 else 'p'}{int(abs(centre_dec) * 10 + 1e-9):03d}"
    return Brick(
        name=name,
        id=int(counts[:row].sum()) + col + 1,
        q=(row % 2) * 2 + col % 2,
        row=row,
        col=col,
        ra=centre_ra,
        dec=centre_dec,
        ra1=float(col * width),
        ra2=float((col + 1) * width),
        dec1=max(centre_dec - size_deg / 2, -90.0),
        dec2=min(centre_dec + size_deg / 2, 90.0),
    )


BRICK_COLUMNS = (
    ("BRICKNAME", "S8", "name"),
    ("BRICKID", "i4", "id"),
    ("BRICKQ", "i2", "q"),
    ("BRICKROW", "i4", "row"),
    ("BRICKCOL", "i4", "col"),
    ("RA", "f8", "ra"),
    ("DEC", "f8", "dec"),
    ("RA1", "f8", "ra1"),
    ("RA2", "f8", "ra2"),
    ("DEC1", "f8", "dec1"),
    ("DEC2", "f8", "dec2"),
)


def brick_table(bricks: list[Brick]) -> NDArray[Any]:
    """Rows of survey-bricks, sorted by id: (N,) records."""
    rows = sorted(bricks, key=lambda brick: brick.id)
    table = np.empty(len(rows), dtype=[(name, kind) for name, kind, _ in BRICK_COLUMNS])
    for name, _, attribute in BRICK_COLUMNS:
        table[name] = [getattr(brick, attribute) for brick in rows]
    return table
