"""Where a search looked and what it found, as a map in right ascension and declination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from lensctl.astro.sky_area import Area
from lensctl.io.html.figures import SETTINGS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

BLUE, ORANGE, RED, GREEN = "#0072b2", "#e69f00", "#d55e00", "#009e73"
MOST_CELLS = 4000
"""Cells drawn; of more, larger ones are drawn."""


def draw(area: Area, leaders: pa.Table, found: pa.Table | None, missed: pa.Table | None) -> Figure:
    """The map: searched and lost cells, candidates, and known lenses found and missed.

    Parameters
    ----------
    leaders : pa.Table
        One row for each system of the list.
    found, missed : pa.Table, optional
        Known lenses in the list, and those in the searched area that are not.
    """
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **SETTINGS}):
        figure = Figure(figsize=(9.0, 4.6), layout="constrained")
        axes = figure.add_subplot()
        centre = _centre(area.searched, area.order)
        for cells, colour, label in ((area.searched, BLUE, "searched"), (area.lost, ORANGE, "lost")):
            corners = _corners(cells, area.order, centre)
            axes.add_collection(PolyCollection(list(corners), facecolor=colour, edgecolor=colour, alpha=0.35, lw=0.5))
            axes.plot([], [], "s", color=colour, alpha=0.5, label=label)
        _mark(axes, leaders, centre, "o", BLUE, f"candidates ({leaders.num_rows:,})", ms=3)
        for few, colour, text in ((missed, RED, "missed"), (found, GREEN, "found")):
            if few is not None:
                _mark(axes, few, centre, "x", colour, f"known lenses {text} ({few.num_rows:,})", ms=5)
        axes.autoscale_view()
        axes.invert_xaxis()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value % 360:g}")
        axes.set(xlabel="right ascension (degrees)", ylabel="declination (degrees)", title="Searched sky")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def _mark(axes: Any, rows: pa.Table, centre: float, marker: str, colour: str, label: str, ms: float) -> None:
    ra, dec = rows["ra"].to_numpy(), rows["dec"].to_numpy()
    axes.plot(_unwrapped(ra, centre), dec, marker, color=colour, ms=ms, mew=0.8, mfc="none", label=label)


def _corners(cells: NDArray[np.int64], order: int, centre: float) -> NDArray[np.float64]:
    """Corners of cells, or of as many larger ones as are drawn: (N, 4, 2) degrees."""
    import healpy

    while len(cells) > MOST_CELLS and order > 0:
        cells, order = np.unique(cells >> 2), order - 1
    if not len(cells):
        return np.zeros((0, 4, 2))
    ra, dec = healpy.vec2ang(
        np.moveaxis(healpy.boundaries(2**order, cells, nest=True), 1, -1).reshape(-1, 3), lonlat=True
    )
    around = _unwrapped(ra, centre).reshape(-1, 4)
    middle = around[:, :1]
    around = middle + (around - middle + 180.0) % 360.0 - 180.0  # a cell across the edge of the map
    return np.stack([around, dec.reshape(-1, 4)], axis=-1)


def _centre(cells: NDArray[np.int64], order: int) -> float:
    """Right ascension in the middle of the map: opposite the widest gap between cells."""
    import healpy

    if not len(cells):
        return 180.0
    ra = np.sort(healpy.pix2ang(2**order, cells, nest=True, lonlat=True)[0])
    gaps = np.diff(ra, append=ra[0] + 360.0)
    widest = int(gaps.argmax())
    return float((ra[widest] + gaps[widest] / 2 + 180.0) % 360.0)


def _unwrapped(ra: NDArray[np.float64], centre: float) -> NDArray[np.float64]:
    """Right ascension within 180 degrees of the map's centre."""
    return np.asarray(centre + (ra - centre + 180.0) % 360.0 - 180.0)
