"""A position far from the brick it names is an error with numbers, and never one that is in its brick."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.astro import brick_names
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10


@pytest.mark.parametrize(
    ("name", "ra", "dec"),
    [("0109p255", 10.9, 25.5), ("3599m899", 359.9, -89.9), ("0000p000", 0.0, 0.0), ("0001m002", 0.1, -0.2)],
)
def test_a_name_says_where_its_brick_lies(name, ra, dec):
    found = brick_names.centres(np.array([name.encode()]))
    assert np.allclose([axis[0] for axis in found], [ra, dec])


@pytest.mark.parametrize("name", ["", "tile7", "0109x255", "0109p25", "0109p2555", "01o9p255", "A109p255"])
def test_another_scheme_of_names_says_nothing(name):
    names = np.array([name.encode()], "S")
    assert all(np.isnan(axis).all() for axis in brick_names.centres(names))
    assert not brick_names.far(names, np.array([200.0]), np.array([-60.0]), LS_DR10).any()


@given(st.floats(0, 359.999), st.integers(-358, 358), st.floats(-0.125, 0.125), st.floats(-0.5, 0.5))
def test_what_lies_in_its_brick_is_never_far(ra, row, above, beside):
    """Bricks are 0.25 degrees high, about as wide, and named after their centres."""
    dec = row * 0.25
    name = f"{int(ra * 10):04d}{'pm'[dec < 0]}{int(abs(dec) * 10):03d}"
    at_ra = (ra + beside * 0.26 / max(np.cos(np.radians(abs(dec) + 0.125)), 1e-3)) % 360
    here = np.array([at_ra]), np.array([dec + above])
    assert not brick_names.far(np.array([name.encode()]), *here, LS_DR10).any()
    assert brick_names.far(np.array([name.encode()]), here[0], here[1] + 0.8, LS_DR10).any()


def test_rows_are_judged_each_by_its_own_brick_in_any_order():
    names = np.array([b"0109p255", b"0109p255", b"3599p255", b"0109p255", b"tile7"])
    ra, dec = np.array([10.9, 359.9, 0.1, 1450.9, 90.0]), np.full(5, 25.5)
    assert brick_names.far(names, ra, dec, LS_DR10).tolist() == [False, True, False, True, False]
    assert brick_names.far(names[:0], ra[:0], dec[:0], LS_DR10).tolist() == []


def table(factor_ra: float = 1.0, factor_dec: float = 1.0) -> pa.Table:
    ra, dec = np.linspace(149.8, 150.2, 9), np.linspace(1.9, 2.1, 9)
    names = pa.array([f"{10 * x:04.0f}p{10 * y:03.0f}" for x, y in zip(ra, dec, strict=True)])
    return pa.table({"brickname": names, "ra": pa.array(ra * factor_ra), "dec": pa.array(dec * factor_dec)})


@pytest.mark.parametrize(
    ("factors", "fix"),
    [
        ((1 / 15, 1.0), "they fit if they are in hours"),
        ((np.pi / 180, np.pi / 180), "they fit if they are in radians"),
        ((1.0, -1.0), "each with its own brick"),
    ],
)
def test_positions_in_another_unit_are_recognised(factors, fix):
    brick_names.refuse_far(table(), "t.csv", LS_DR10)
    with pytest.raises(InputError, match="t.csv: 9 of 9 positions are not in the brick they name: row 0 is at ra") as e:
        brick_names.refuse_far(table(*factors), "t.csv", LS_DR10)
    assert fix in e.value.fix


def test_a_survey_of_larger_bricks_reaches_farther():
    moved = table().set_column(2, "dec", pa.array(np.linspace(2.9, 3.1, 9)))
    large = dataclasses.replace(LS_DR10, bricks=dataclasses.replace(LS_DR10.bricks, size_deg=1.0))
    brick_names.refuse_far(moved, "t.csv", large)
    brick_names.refuse_far(moved.drop_columns("brickname"), "t.csv", LS_DR10)
    with pytest.raises(InputError, match="row 0 is at ra 149.8000, dec 2.9000, and brick 1498p019 is not there"):
        brick_names.refuse_far(moved, "t.csv", LS_DR10)
