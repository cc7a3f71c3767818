"""Stored values of a FITS table mean what the standard, and astropy, say: scale, zero, null, the other signedness."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.io.fits.tables import read_fits_table
from lensctl.rules.errors import InputError

INTEGERS = ("u1", "i2", "u2", "i4", "u4", "i8", "u8")


def written(folder, tables, **cards):
    path = folder / "t.fits"
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path, overwrite=True)
    for name, value in cards.items():
        fits.setval(path, name, value=value, ext=1)
    return str(path)


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_of_either_signedness_keep_their_values(tmp_path, kind):
    limits = np.iinfo(kind)
    values = np.array([limits.min, limits.max, 0, 1], kind)
    path = written(tmp_path, [fits.BinTableHDU(Table({"x": values, "y": values[::-1]}))])
    found = read_fits_table(path)
    assert found["x"].type == pa.from_numpy_dtype(values.dtype)
    assert (found["x"].to_pylist(), found["y"].to_pylist()) == (values.tolist(), values[::-1].tolist())


def test_signed_bytes_are_stored_as_unsigned_ones(tmp_path):
    path = written(tmp_path, [fits.BinTableHDU(Table({"x": np.array([0, 128, 255], "u1")}))], TZERO1=-128)
    assert read_fits_table(path)["x"].to_pylist() == [-128, 0, 127]


numbers = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["u1", "i2", "i4", "f4", "f8"]), numbers.filter(bool), numbers)
def test_scaled_columns_are_read_as_astropy_reads_them(tmp_path_factory, kind, scale, zero):
    values = np.array([0, 1, 7, 100], kind)
    table = fits.BinTableHDU(Table({"x": values}))
    path = written(tmp_path_factory.mktemp("scaled"), [table], TSCAL1=scale, TZERO1=zero)
    found = read_fits_table(path)["x"].to_numpy()
    np.testing.assert_allclose(found, np.asarray(fits.getdata(path, 1)["x"], float), rtol=1e-6)
    np.testing.assert_allclose(found, zero + scale * values.astype(float), rtol=1e-12)


def test_what_equals_tnull_is_null_and_so_is_a_logical_that_is_neither(tmp_path):
    masked = MaskedColumn(np.array([1, 2, 3], np.int16), mask=[False, True, False], name="n")
    path = written(tmp_path, [fits.BinTableHDU(Table([masked]))])
    assert read_fits_table(path)["n"].to_pylist() == [1, None, 3]
    path = written(tmp_path, [fits.BinTableHDU(Table({"l": [True, False, True]}))])
    data = bytearray((tmp_path / "t.fits").read_bytes())
    data[-2880] = 0  # the first letter
    (tmp_path / "t.fits").write_bytes(data)
    assert read_fits_table(path)["l"].to_pylist() == [None, False, True]


@pytest.mark.parametrize("card", ["TSCAL1", "TZERO1", "TNULL1"])
def test_a_meaning_that_is_no_number_is_an_error(tmp_path, card):
    path = written(tmp_path, [fits.BinTableHDU(Table({"x": np.arange(3)}))], **{card: "three"})
    with pytest.raises(InputError, match=f"t.fits: cannot be read as FITS .*{card} is three, not a"):
        read_fits_table(path)


def test_a_scale_that_is_nan_is_an_error(tmp_path):
    path = written(tmp_path, [fits.BinTableHDU(Table({"x": np.arange(3)}))], TSCAL1=2.5)
    (tmp_path / "t.fits").write_bytes((tmp_path / "t.fits").read_bytes().replace(b" 2.5 ", b" NaN "))
    with pytest.raises(InputError, match="TSCAL1 is nan, not a number"):
        read_fits_table(path)


def test_columns_equal_but_for_case_are_an_error(tmp_path):
    path = written(tmp_path, [fits.BinTableHDU(Table({"RA": [1.0], "ra": [2.0]}))])
    with pytest.raises(InputError, match="t.fits: columns 'RA' and 'ra' are one"):
        read_fits_table(path)
