"""Bricks have the survey's names, numbers and edges."""

from __future__ import annotations

import fitsio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.sky import bricks

SIZE_DEG = 0.25


def test_the_brick_scheme_has_as_many_bricks_as_the_survey():
    assert bricks.columns_per_row(SIZE_DEG).sum() == 662_174


def test_a_known_brick_has_its_name_number_and_edges():
    brick = bricks.brick_at(95.95, 80.5, SIZE_DEG)
    assert (brick.name, brick.id, brick.q, brick.row, brick.col) == ("0959p805", 657438, 0, 682, 64)
    assert (brick.ra1, brick.ra2) == (pytest.approx(95.20661157, abs=1e-7), pytest.approx(96.69421488, abs=1e-7))
    assert (brick.dec1, brick.dec2) == (80.375, 80.625)


@given(ra=st.floats(0, 359.999999), dec=st.floats(-85, 85), size=st.sampled_from((0.1, 0.25, 0.5, 0.7, 2.0)))
def test_a_brick_of_any_size_holds_the_position_it_was_asked_for(ra, dec, size):
    brick = bricks.brick_at(ra, dec, size)
    assert brick.ra1 - 1e-9 <= ra <= brick.ra2 + 1e-9
    assert brick.dec1 <= dec <= brick.dec2
    assert brick.dec2 - brick.dec1 == pytest.approx(size)
    assert (brick.ra2 - brick.ra1) * np.cos(np.radians(abs(brick.dec) - size / 2)) <= size * (1 + 1e-9)
    assert bricks.columns_per_row(size)[brick.row] % 2 == 0


def test_the_brick_scheme_gives_the_rows_of_the_real_table(real_data):
    row = fitsio.read(real_data / "dr6-coadd" / "survey-bricks.fits.gz")[0]
    made = bricks.brick_table([bricks.brick_at(float(row["RA"]), float(row["DEC"]), SIZE_DEG)])[0]
    for name in made.dtype.names:
        if name == "BRICKNAME":
            assert made[name].decode() == row[name].strip()
        else:
            assert float(made[name]) == pytest.approx(float(row[name]), abs=1e-9), name


def test_owned_objects_of_real_catalogues_lie_in_the_brick_they_name(real_data):
    rows = fitsio.read(real_data / "tractor" / "sweep-310m005-320p000.fits")
    for row in rows:
        brick = bricks.brick_at(float(row["RA"]), float(row["DEC"]), SIZE_DEG)
        assert (brick.name, brick.id) == (row["BRICKNAME"].strip(), row["BRICKID"])
