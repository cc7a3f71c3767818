"""Coverage maps, against mocpy, which Aladin's library stands behind."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.fits.moc import uniq_of, write_moc

mocpy = pytest.importorskip("mocpy", reason="mocpy is not installed")


@st.composite
def regions(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Cells of one order, with whole larger cells among them."""
    order = draw(st.integers(0, 5))
    cells = draw(st.sets(st.integers(0, 12 * 4**order - 1), max_size=30))
    for depth in range(order):
        shift = 2 * (order - depth)
        for parent in draw(st.sets(st.integers(0, 12 * 4**depth - 1), max_size=1)):
            cells |= set(range(parent << shift, (parent + 1) << shift))
    return np.array(sorted(cells), np.int64), order


@given(regions())
def test_the_numbers_are_the_region_and_four_of_a_kind_are_one(region):
    cells, order = region
    found, seen = set(), []
    for uniq in uniq_of(cells, order).tolist():
        depth = (uniq.bit_length() - 3) // 2
        cell, shift = uniq - 4 * 4**depth, 2 * (order - depth)
        found |= set(range(cell << shift, (cell + 1) << shift))
        seen.append((depth, cell))
    assert found == set(cells.tolist())
    siblings = [(depth, cell >> 2) for depth, cell in seen if depth]
    assert not [one for one in siblings if siblings.count(one) == 4]


@given(regions())
def test_mocpy_reads_the_same_region(tmp_path_factory, region):
    cells, order = region
    path = tmp_path_factory.mktemp("moc") / "a.moc.fits"
    write_moc(path, np.repeat(cells, 2)[::-1], order)
    read = mocpy.MOC.from_fits(str(path))
    wanted = mocpy.MOC.from_healpix_cells(cells.astype(np.uint64), np.uint8(order), max_depth=order)
    assert read == wanted
    assert sorted(read.flatten().tolist()) == cells.tolist()
    assert read.max_order == order


def test_the_header_is_that_of_the_standard_and_the_bytes_are_the_same_twice(tmp_path):
    cells = np.arange(7, dtype=np.int64)
    for name in ("a", "b"):
        write_moc(tmp_path / name, cells, 3)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    table = fits.open(tmp_path / "a")[1]
    wanted = {"MOCVERS": "2.0", "MOCDIM": "SPACE", "ORDERING": "NUNIQ", "COORDSYS": "C", "MOCORD_S": 3, "TFORM1": "1K"}
    assert {key: table.header[key] for key in wanted} == wanted
    assert table.data["UNIQ"].tolist() == [4 * 4**2, 4 * 4**3 + 4, 4 * 4**3 + 5, 4 * 4**3 + 6]
