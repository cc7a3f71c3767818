"""The map of a search, also across right ascension 0."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lensctl.astro.sky_area import Area
from lensctl.io.html.figures import render
from lensctl.rules.split import healpix
from lensctl.search.report import sky_map


def area(ra: np.ndarray, order: int = 8) -> Area:
    return Area(order, np.unique(healpix(ra, np.zeros(len(ra)), 2**order)), np.zeros(0, np.int64))


def places(*ra: float) -> pa.Table:
    return pa.table({"ra": pa.array(ra, pa.float64()), "dec": pa.array([0.0] * len(ra), pa.float64())})


def test_a_field_across_right_ascension_0_is_drawn_as_one():
    ra = np.linspace(355, 365, 200) % 360
    figure = sky_map.draw(area(ra), places(359.0, 1.0), places(1.0), places(358.0))
    (axes,) = figure.axes
    left, right = axes.get_xlim()
    assert left > right  # east is left
    assert left - right < 15
    drawn = np.concatenate([line.get_xdata() for line in axes.lines if len(line.get_xdata())])
    assert np.ptp(drawn) < 5
    corners = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
    assert np.ptp(corners[:, 0]) < 15


def test_many_cells_are_drawn_as_larger_ones():
    cells = np.arange(12 * 4**7)
    (axes,) = sky_map.draw(Area(7, cells, cells[:0]), places(), None, None).axes
    assert len(axes.collections[0].get_paths()) <= sky_map.MOST_CELLS


def test_it_is_the_same_bytes_twice_and_nothing_is_drawn_of_nothing():
    nothing = Area(8, np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert render(sky_map.draw(nothing, places(), places(), places()), "svg")
    first, second = (render(sky_map.draw(area(np.array([10.0, 11.0])), places(10.0), None, None), "svg") for _ in "ab")
    assert first == second
