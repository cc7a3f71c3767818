"""Which rows a dry run cuts to measure a rate, and that nothing is kept of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.cutouts.layout import Layout
from lensctl.io.imaging import foretelling
from lensctl.io.imaging.coadds import CoaddSource
from lensctl.rules.survey import LS_DR10
from tests.toys.coadds import make_brick, objects


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (7, 7), (20, 20), (510_000, 20)])
def test_rows_of_a_service_are_spread_over_the_table(count, expected):
    rows = foretelling._some(count, None)
    assert len(rows) == expected
    assert (rows[0], rows[-1]) == (0, count - 1)
    assert (np.diff(rows) > 0).all()


def test_rows_of_coadds_are_those_of_whole_bricks_so_that_as_many_share_one_as_in_the_table():
    of_brick = np.array(["1500p020", "1502p020", None, "0000m005"] * 50, object)
    rows = foretelling._some(len(of_brick), of_brick)
    assert sorted(of_brick[rows]) == ["0000m005"] * 50
    sparse = np.array([f"{brick:04d}p020" for brick in range(100)], object)
    found = foretelling._some(100, sparse)
    assert len(found) == 20
    assert (found.min(), found.max()) == (0, 99)
    assert len(foretelling._some(3, np.array([None] * 3, object))) == 0
    assert len(foretelling._some(9000, np.array(["1500p020"] * 9000, object))) == 500


def test_the_rate_of_coadds_is_measured_and_none_is_told_without_pixels(tmp_path):
    make_brick(tmp_path / "survey", "1500p020")
    rows = objects("1500p020", 30, spread_px=60.0)
    source = CoaddSource(str(tmp_path / "survey"), 21, LS_DR10, processes=1)
    before = sorted(tmp_path.rglob("*"))
    rate = foretelling.measured_rate(source, rows, Layout(30, 21))
    assert rate.rows == 30
    assert rate.per_second > 1.0
    assert sorted(tmp_path.rglob("*")) == before
    elsewhere = rows.set_column(1, "ra", pa.array(np.full(30, 10.0)))
    elsewhere = elsewhere.set_column(0, "galaxy_id", pa.array([f"0100p020_{i}" for i in range(30)]))
    assert foretelling.measured_rate(source, elsewhere, Layout(30, 21)).per_second is None
