"""Quality columns against slow, obvious NumPy, and the laws they keep."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.rules import quality


def noise(count: int, size: int = 101, seed: int = 0) -> quality.Images:
    return np.random.default_rng(seed).normal(0.02, 0.1, (count, size, size, 3)).astype(np.float32)


def test_the_central_fifth_of_101_is_40_to_60() -> None:
    assert quality.central(101) == slice(40, 60)


@pytest.mark.parametrize("size", [1, 4, 5, 64, 100, 102, 201])
def test_the_central_fifth_lies_in_the_middle(size: int) -> None:
    middle = quality.central(size)
    assert middle.stop - middle.start == max(size // 5, 1)
    assert abs(middle.start - (size - middle.stop)) <= 1


def test_statistics_equal_numpys() -> None:
    images = noise(5)
    images[1, :30, :, 0] = np.nan
    images[2, 3, 4, 1] = np.inf
    images[3, :, :, 2] = np.nan
    columns = quality.measure(images, "grz")
    finite = np.where(np.isfinite(images), images, np.nan).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for b, band in enumerate("grz"):
            plane = finite[..., b].reshape(5, -1)
            expected = [np.nanmean(plane, 1), np.nanstd(plane, 1), *np.nanpercentile(plane, [1, 50, 99], axis=1)]
            for name, value in zip(quality.STATISTICS, expected, strict=True):
                np.testing.assert_allclose(columns[f"{name}_{band}"], value, rtol=2e-6, atol=1e-9, err_msg=name)
    assert columns["nan_pixel_count"].tolist() == [0, 3030, 0, 10201, 0]
    assert columns["has_nan"].tolist() == [False, True, False, True, False]
    np.testing.assert_allclose(columns["bad_pixel_frac"] * 3 * 10201, [0, 3030, 1, 10201, 0], atol=0.01)


@given(st.integers(1, 40), st.integers(0, 39), st.sampled_from([1, 2, 7, 33, 101]), st.integers(0, 99))
def test_percentiles_of_clean_cutouts_equal_numpys_whatever_their_pattern(
    period: int, phase: int, size: int, seed: int
) -> None:
    """Every so many pixels are another population, as where a few of them say nothing about the rest."""
    images = np.random.default_rng(seed).normal(0, 1, (3, size, size, 3)).astype(np.float32)
    flat = images.reshape(3, -1, 3)
    flat[0, phase::period] += 1000
    flat[1, phase::period] = -7
    flat[2].sort(axis=0)
    columns = quality.measure(images, "grz")
    for b, band in enumerate("grz"):
        expected = np.percentile(flat[..., b].astype(float), [1, 50, 99], axis=1)
        for name, value in zip(quality.PERCENTILES, expected, strict=True):
            np.testing.assert_allclose(columns[f"{name}_{band}"], value, rtol=2e-6, atol=1e-6, err_msg=name)


def test_a_missing_band_is_all_zero_or_has_no_finite_pixel() -> None:
    images = noise(6)
    images[1, ..., 0] = 0.0
    images[2, ..., 1] = np.nan
    images[3, ..., 2] = np.inf
    images[4, ..., 0] = 0.0
    images[4, 0, 0, 0] = 1e-6
    images[5, ..., 1] = 0.0
    images[5, 70:, :, 1] = np.nan
    columns = quality.measure(images, "grz")
    told = ["ok", "missing_band", "missing_band", "missing_band", "half_empty", "missing_band"]
    assert columns["status"].tolist() == told
    assert columns["cutout_ok"].tolist() == [True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("size", "inner"), [(1, (0, 1)), (63, (0, 63)), (64, (0, 64)), (96, (16, 80)), (101, (18, 82)), (150, (27, 122))]
)
def test_the_inner_square_is_64_of_101_px_and_the_whole_of_a_small_cutout(size: int, inner: tuple[int, int]) -> None:
    assert quality.inner(size) == slice(*inner)


@pytest.mark.parametrize("nothing", [0.0, -0.0, np.nan, np.inf])
@pytest.mark.parametrize(("rows", "verdict"), [(3, "ok"), (4, "half_empty"), (32, "half_empty")])
def test_a_cutout_that_is_empty_in_more_than_a_twentieth_of_its_inner_pixels_is_not_used(
    nothing: float, rows: int, verdict: str
) -> None:
    images = noise(2)
    images[1, 18 : 18 + rows, :, 1] = nothing
    columns = quality.measure(images, "grz")
    assert columns["status"].tolist() == ["ok", "nan_center" if rows == 32 and np.isnan(nothing) else verdict]
    assert columns["cutout_ok"].tolist() == [True, verdict == "ok"]
    assert columns["zero_pixel_frac_r"].tolist() == [0.0, rows / 64]
    assert columns["zero_pixel_frac_g"].tolist() == columns["zero_pixel_frac_z"].tolist() == [0.0, 0.0]
    assert quality.empty_fraction(images).tolist() == [[0, 0, 0], [0, rows / 64, 0]]


def test_nothing_outside_the_inner_square_makes_a_cutout_half_empty() -> None:
    images = noise(1)
    images[0, :18] = images[0, 82:] = 0.0
    images[0, :, :18] = images[0, :, 82:] = np.nan
    columns = quality.measure(images, "grz")
    assert columns["status"].tolist() == ["ok"]
    assert columns["zero_pixel_frac_z"].tolist() == [0.0]


@pytest.mark.parametrize(("max_empty", "verdict"), [(0.0, "half_empty"), (0.0624, "half_empty"), (0.0625, "ok")])
def test_how_much_may_be_empty_can_be_said(max_empty: float, verdict: str) -> None:
    images = noise(1)
    images[0, 18:22, :, 2] = 0.0  # 4 rows of 64
    columns = quality.measure(images, "grz", max_empty)
    assert columns["status"].tolist() == [verdict]
    assert columns["zero_pixel_frac_z"].tolist() == [0.0625]


def test_exactly_the_greatest_fraction_is_still_allowed() -> None:
    images = noise(1, 20)
    images[0, 0] = 0.0  # 20 of 400 px
    assert quality.measure(images, "grz")["status"].tolist() == ["ok"]
    images[0, 1, 0, 2] = 0.0
    assert quality.measure(images, "grz")["status"].tolist() == ["half_empty"]


@pytest.mark.parametrize(
    ("y", "x", "verdict"), [(40, 40, "nan_center"), (59, 59, "nan_center"), (39, 50, "ok"), (50, 60, "ok")]
)
def test_one_nan_in_the_centre_spoils_a_cutout_and_one_outside_does_not(y: int, x: int, verdict: str) -> None:
    images = noise(1)
    images[0, y, x, 1] = np.nan
    columns = quality.measure(images, "grz")
    assert columns["status"].tolist() == [verdict]
    assert columns["cutout_ok"].tolist() == [verdict == "ok"]


def test_a_cutout_of_nothing_has_no_statistics() -> None:
    columns = quality.measure(np.full((1, 101, 101, 3), np.nan, np.float32), "grz")
    assert np.isnan(columns["mean_g"]).all()
    assert np.isnan(columns["p50_z"]).all()
    assert columns["bad_pixel_frac"].tolist() == [1.0]
    assert columns["status"].tolist() == ["missing_band"]


def test_no_cutouts_give_empty_columns() -> None:
    assert {len(column) for column in quality.measure(noise(0), "grz").values()} == {0}


@given(st.data())
@settings(deadline=None)
def test_a_row_depends_on_its_own_pixels_alone(data: st.DataObject) -> None:
    count, size = data.draw(st.integers(1, 130)), data.draw(st.integers(1, 12))
    images = noise(count, size, data.draw(st.integers(0, 9)))
    holes = data.draw(st.lists(st.integers(0, images.size - 1), max_size=20))
    images.reshape(-1)[holes] = np.nan
    together = quality.measure(images, "grz")
    row = data.draw(st.integers(0, count - 1))
    alone = quality.measure(images[row : row + 1], "grz")
    for name, column in together.items():
        assert np.array_equal(column[row : row + 1], alone[name], equal_nan=name not in ("status",)), name


def test_fingerprints_are_of_the_little_endian_bytes() -> None:
    images = noise(2)
    expected = [hashlib.sha256(image.astype("<f4").tobytes()).hexdigest() for image in images]
    assert quality.fingerprints(images) == expected
    assert quality.fingerprints(images[:, :, ::-1]) != quality.fingerprints(images)


def test_measuring_leaves_the_pixels_alone() -> None:
    images = noise(3)
    images[0, 0, 0, 0] = np.nan
    before = images.copy()
    quality.measure(images, "grz")
    assert np.array_equal(images, before, equal_nan=True)
