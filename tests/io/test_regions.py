"""Regions: the package `regions` reads a circle for every row, whatever its name; a row without place is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.cli.main import main
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError

regions = pytest.importorskip("regions", reason="the package regions is not installed")

ODD = ["1500p020_1", "a {b} c", 'with "quotes"', "two\nlines", "semi;colon # hash", "Müller", None]
ROWS = {
    "galaxy_id": ODD,
    "ra": [150.0, 359.9999999, 0.0, 12.3456789, 200.0, 33.3, 1.0],
    "dec": [2.0, -89.9, 90.0, -0.0000001, 45.5, -45.5, 0.0],
    "p": [0.98765, 0.5, None, float("nan"), 1.0, 0.0, 0.25],
    "flux_r": [1.0] * 7,
}


def test_every_row_is_a_circle_at_its_place_with_its_name(tmp_path):
    write_table(pa.table(ROWS), str(tmp_path / "c.reg"))
    found = regions.Regions.read(tmp_path / "c.reg", format="ds9")
    assert [type(region).__name__ for region in found] == ["CircleSkyRegion"] * len(ODD)
    assert {region.center.frame.name for region in found} == {"icrs"}
    np.testing.assert_allclose([region.center.ra.deg for region in found], ROWS["ra"], atol=1e-7)
    np.testing.assert_allclose([region.center.dec.deg for region in found], ROWS["dec"], atol=1e-7)
    np.testing.assert_allclose([region.radius.to_value("arcsec") for region in found], 5)
    names = [region.meta["text"] for region in found]
    assert names[0] == "1500p020_1 p=0.988"
    assert "a  b  c" in names[1]
    assert "two lines" in names[3]
    assert names[6] == "row 6 p=0.25"


def test_the_same_rows_in_batches_are_the_same_bytes(tmp_path):
    from lensctl.io.tables.files import write_batches

    table = pa.table(ROWS)
    write_table(table, str(tmp_path / "a.reg"))
    write_batches(table.schema, table.to_batches(max_chunksize=2), str(tmp_path / "b.reg"))
    assert (tmp_path / "a.reg").read_bytes() == (tmp_path / "b.reg").read_bytes()


@pytest.mark.parametrize("place", [(None, 2.0), (150.0, float("nan")), (150.0, 91.0), (1e9, 0.0), ("east", 0.0)])
def test_a_row_without_a_place_is_named_and_nothing_is_written(tmp_path, place):
    table = pa.table({"ra": [place[0]], "dec": [place[1]]})
    with pytest.raises(InputError, match="row 0 has ra .* which is no place for a region"):
        write_table(table, str(tmp_path / "c.reg"))
    assert not list(tmp_path.iterdir())


def test_a_table_without_positions_is_refused(tmp_path):
    with pytest.raises(InputError, match="column 'dec' is missing, without which a row has no region"):
        write_table(pa.table({"ra": [1.0]}), str(tmp_path / "c.reg"))


def test_regions_are_not_read(tmp_path):
    write_table(pa.table(ROWS), str(tmp_path / "c.reg"))
    with pytest.raises(InputError, match=r"c\.reg: regions are written, and not read"):
        read_table(str(tmp_path / "c.reg"))
    assert main(["show", str(tmp_path / "c.reg")]) == 2
    assert main(["cutout", str(tmp_path / "c.reg"), str(tmp_path / "s.zarr"), "--root", "."]) == 2
