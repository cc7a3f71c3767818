"""Tile-compressed tables: what fpack packs is read as it was."""

from __future__ import annotations

import io
import shutil
import subprocess

import numpy as np
import pytest

from lensctl.io.fits.packed_tables import packed_tiles
from lensctl.io.fits.tables import read_fits_table
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys
from tests.toys.damage import spoil_packed_column


@pytest.mark.skipif(shutil.which("fpack") is None, reason="fpack is not installed")
def test_what_fpack_packs_is_read_as_it_was(tmp_path):
    path = toys.write_fits(toys.rows(3000), tmp_path / "s.fits", brick_primary=np.arange(3000) % 3 > 0)
    expected = read_fits_table(str(path))
    subprocess.run(["fpack", "-table", str(path)], check=True, capture_output=True)
    assert read_fits_table(f"{path}.fz").equals(expected)


@pytest.mark.parametrize(
    ("claimed", "said"),
    [
        ({"ZTILELEN": 10**9, "ZNAXIS2": 10**9}, "1 tiles of 1000000000 rows"),
        ({"ZTILELEN": 0}, "1 tiles of 0 rows"),
        ({"NAXIS2": 10**12}, "1000000000000 tiles"),
        ({"ZTILELEN": 1, "ZNAXIS2": 10**12, "NAXIS2": 10**12}, "truncated"),
        ({"ZNAXIS2": -1}, "ZNAXIS2 is -1"),
    ],
)
def test_a_table_that_claims_more_than_it_can_hold_is_refused_before_it_is_read(claimed, said):
    header = {"ZNAXIS2": 10, "ZTILELEN": 10, "NAXIS1": 16, "TFIELDS": 1, "NAXIS2": 1, "TTYPE1": "ra", **claimed}
    row = np.dtype([("ra", ">f8")])
    with pytest.raises(ValueError, match=said):
        list(packed_tiles(io.BytesIO(bytes(2880)), 0, header, row, ["ra"]))


def test_a_tile_that_lies_outside_the_file_is_refused():
    header = {"ZNAXIS2": 10, "ZTILELEN": 10, "NAXIS1": 8, "TFIELDS": 1, "NAXIS2": 1, "TTYPE1": "ra"}
    span = np.array([10**9, 0], ">i4").tobytes()
    with pytest.raises(ValueError, match="a tile lies outside the file"):
        list(packed_tiles(io.BytesIO(span.ljust(2880, b"\0")), 0, header, np.dtype([("ra", ">f8")]), ["ra"]))


def test_a_damaged_tile_is_an_error_with_the_files_name(tmp_path):
    """What the decoder of Rice raises is no ValueError."""
    path = toys.write_packed_fits(toys.rows(60).select(["ra", "objid"]), tmp_path / "sweep.fits.fz")
    read_fits_table(str(path))
    spoil_packed_column(path, "OBJID")
    with pytest.raises(InputError, match=r"sweep\.fits\.fz: cannot be read as FITS \(a tile is damaged"):
        read_fits_table(str(path))
