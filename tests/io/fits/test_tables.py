"""FITS tables: one table a file."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from lensctl.io.fits.tables import read_fits_table
from lensctl.rules.errors import InputError

ROWS = fits.BinTableHDU(Table({"x": np.arange(3)}), name="A")


def written(path, *tables, behind=b""):
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(file)
    data = file.getvalue() + behind
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.mark.parametrize("name", ["two.fits", "two.fits.gz"])
def test_a_second_table_is_named_and_not_left_out_silently(tmp_path, name):
    second = fits.BinTableHDU(Table({"x": np.arange(5)}), name="B")
    path = written(tmp_path / name, ROWS, fits.ImageHDU(np.zeros((4, 4))), second)
    with pytest.raises(InputError, match=f"{name}: holds a second table, 'B'"):
        read_fits_table(path)


def test_images_and_what_is_behind_the_last_unit_do_not_matter(tmp_path):
    for name, behind in {"a.fits": b"", "b.fits": bytes(3 * 2880), "c.fits": b"more"}.items():
        path = written(tmp_path / name, ROWS, fits.ImageHDU(np.zeros((4, 4))), behind=behind)
        assert read_fits_table(path)["x"].to_pylist() == [0, 1, 2]


def test_a_table_of_one_column_of_bytes_has_values_of_its_own(tmp_path):
    values = (np.arange(200_000) // 1000).astype(np.uint8)
    path = written(tmp_path / "t.fits", fits.BinTableHDU(Table({"x": values})))
    assert (read_fits_table(path)["x"].to_numpy() == values).all()
