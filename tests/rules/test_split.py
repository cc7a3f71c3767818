"""The split rule is the existing pool's, bit for bit, and the same in Python and in SQL."""

from __future__ import annotations

import hashlib
import struct

import healpy
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.tables.sql import query
from lensctl.rules import split

PIXELS = st.integers(0, 12 * 128 * 128 - 1)

# pixel, first 8 hex digits of `printf '{pixel}_42' | sha256sum`, split
VECTORS = [
    (0, "859b5a68", "train"),
    (2, "cb418dee", "val"),
    (7, "f8fc40e0", "test"),
    (12345, "eb1aafab", "test"),
    (100000, "13685aa8", "train"),
    (196607, "7f7f0418", "train"),
]


@pytest.mark.parametrize(("pixel", "digits", "expected"), VECTORS)
def test_vectors(pixel, digits, expected):
    assert hashlib.sha256(f"{pixel}_42".encode()).hexdigest().startswith(digits)
    assert split.split_of(pixel) == expected


@given(PIXELS, st.integers(0, 2**31))
def test_the_rule_as_it_is_written_down(pixel, seed):
    u = struct.unpack(">I", hashlib.sha256(f"{pixel}_{seed}".encode("ascii")).digest()[:4])[0] / 2**32
    assert split.split_of(pixel, seed) == ("train" if u < 0.70 else "val" if u < 0.85 else "test")


@given(st.lists(PIXELS, min_size=1, max_size=50), st.integers(0, 2**31))
def test_python_and_sql_agree(pixels, seed):
    rows = query(f"SELECT {split.split_sql('pixel', seed)} AS split FROM t", t=pa.table({"pixel": pixels}))
    assert rows["split"].to_pylist() == [split.split_of(pixel, seed) for pixel in pixels]
    assert list(split.splits_of(np.array(pixels), seed)) == [split.split_of(pixel, seed) for pixel in pixels]


def test_sql_gives_null_for_a_null_pixel():
    rows = query(
        f"SELECT {split.split_sql('pixel')} AS split FROM t", t=pa.table({"pixel": pa.array([None], pa.int64())})
    )
    assert rows["split"].to_pylist() == [None]


def test_shares_of_the_whole_sky():
    names, counts = np.unique(split.splits_of(np.arange(12 * 128 * 128)), return_counts=True)
    shares = dict(zip(names, counts / counts.sum(), strict=True))
    assert shares["train"] == pytest.approx(0.70, abs=0.005)
    assert shares["val"] == pytest.approx(0.15, abs=0.005)
    assert shares["test"] == pytest.approx(0.15, abs=0.005)


@given(PIXELS)
def test_healpix_is_nested(pixel):
    ra, dec = healpy.pix2ang(128, pixel, nest=True, lonlat=True)
    assert split.healpix(ra, dec) == pixel
    assert split.healpix(ra, dec, 64) == pixel // 4


DIGESTS = ["29d834bae44e6690", "e805522df3d2f6db", "c7db8a62b64fff9c"]
"""Of the pixels of the positions below, by healpy's C library."""

RA = st.floats(0, 360) | st.sampled_from([0.0, 360.0, np.nextafter(360, 0), 45.0, 90.0])
DEC = st.floats(-90, 90) | st.sampled_from([-90.0, 90.0, np.nextafter(90, 0), 0.0, -0.0, np.degrees(np.arcsin(2 / 3))])


@given(RA, DEC, st.sampled_from([1, 64, 128]))
def test_pixels_are_those_of_the_angles_in_radians(ra, dec, nside):
    """As the pool was divided: colatitude and longitude in radians, from the same arithmetic."""
    assert split.healpix(ra, dec, nside) == healpy.ang2pix(
        nside, np.pi / 2 - np.radians(dec), np.radians(ra), nest=True
    )


def test_pixels_of_200_000_positions_are_what_they_were():
    """Positions that no processor rounds otherwise than another: no arcsine, whose last bit differs between them."""
    random = np.random.default_rng(5)
    ra, dec = random.uniform(0, 360, 200_000), random.uniform(-90, 90, 200_000)
    pixels = [split.healpix(ra, dec, nside) for nside in (1, 64, 128)]
    assert [hashlib.sha256(p.astype("<i8").tobytes()).hexdigest()[:16] for p in pixels] == DIGESTS


@pytest.mark.parametrize("nside", [1, 64, 128])
def test_a_position_on_an_edge_is_of_one_of_the_pixels_beside_it(nside):
    edges = np.degrees(np.arcsin(np.r_[np.linspace(-1, 1, 1537), np.linspace(-2 / 3, 2 / 3, 1025)]))
    ra, dec = np.r_[np.linspace(0.01, 359.9, len(edges)), np.full(len(edges), 1e-3)], np.r_[edges, edges]
    beside = [split.healpix(ra, np.clip(dec + step, -90, 90), nside) for step in (-1e-9, 1e-9)]
    found = split.healpix(ra, dec, nside)
    assert ((found == beside[0]) | (found == beside[1])).all()


@pytest.mark.parametrize("dec", [np.nan, 90.001, -91.0])
def test_a_declination_beyond_a_pole_has_no_pixel(dec):
    with pytest.raises(ValueError, match="beyond a pole"):
        split.healpix(10.0, dec)


def test_healpix_64_is_that_of_the_position():
    random = np.random.default_rng(4)
    ra = np.r_[random.uniform(0, 360, 200_000), np.linspace(0, 360, 1441)]
    dec = np.r_[np.degrees(np.arcsin(random.uniform(-1, 1, 200_000))), np.linspace(-90, 90, 1441)]
    assert (split.healpix(ra, dec, 128) >> 2 == split.healpix(ra, dec, 64)).all()


def test_pixels_kept_for_thresholds_are_their_share_of_all_and_the_same_each_time():
    pixels = np.arange(20_000)
    kept = split.calibrates(pixels, 0.5)
    assert kept.mean() == pytest.approx(0.5, abs=0.02)
    assert (split.calibrates(pixels[::-1], 0.5) == kept[::-1]).all()
    assert (split.calibrates(pixels, 0.3) <= kept).all()
    assert not split.calibrates(pixels, 0.0).any()
    assert kept[split.splits_of(pixels) == "val"].mean() == pytest.approx(0.5, abs=0.04)  # apart from the split


def test_thresholds_come_from_the_rows_kept_for_them_or_from_all_of_val_where_none_were():
    role = np.array(["val", split.CALIBRATE, "val"], dtype=object)
    assert split.for_thresholds(role).tolist() == [False, True, False]
    assert split.for_thresholds(role[::2]).tolist() == [True, True]


def test_a_square_has_the_pixels_of_its_middle_corners_and_sides():
    ra, dec = np.array([0.001, 150.0]), np.array([0.0, 60.0])
    pixels = split.box_pixels(ra, dec, 3600.0)
    assert pixels.shape == (2, 9)
    np.testing.assert_array_equal(pixels[:, 0], split.healpix(ra, dec))
    np.testing.assert_array_equal(pixels[1, 1:5], split.healpix(*np.array(
        [(150 + x / np.cos(np.radians(60 + y)), 60 + y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)]
    ).T))  # fmt: skip
    assert set(pixels[0, 1:3]) <= set(split.healpix([359.501], [-0.5])) | set(split.healpix([359.501], [0.5]))
    assert (split.box_pixels([10.0], [90.0], 30.0) >= 0).all()


def test_a_small_square_within_a_pixel_has_that_pixel_alone():
    ra, dec = healpy.pix2ang(split.NSIDE, np.arange(0, 196_608, 97), nest=True, lonlat=True)
    pixels = split.box_pixels(ra, dec, 26.5)
    assert (pixels == pixels[:, :1]).all()
