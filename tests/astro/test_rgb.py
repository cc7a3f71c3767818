"""Colour pictures of cutouts: true to the bands, and holes are seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.astro.rgb import BAND_GAIN, HOLE, lupton_rgb
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from tests.toys.surveys import WIDE

GAINS = np.array([BAND_GAIN[band] for band in LS_DR10.bands], np.float32)


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 100))
def test_colour_pictures_are_whole_and_brighter_pixels_are_no_darker(seed, scale):
    image = np.random.default_rng(seed).normal(0, scale, (5, 6, 3)).astype(np.float32)
    picture = lupton_rgb(image)
    assert picture.shape == (5, 6, 3)
    assert picture.dtype == np.uint8
    brighter = lupton_rgb(np.zeros_like(image) + np.array([0.02, 0.02, 0.02], np.float32) / GAINS)
    assert (brighter > lupton_rgb(np.zeros_like(image))).all()


def test_a_source_with_the_colours_of_the_gains_is_grey():
    image = np.ones((3, 3, 3), np.float32) * 0.05 / GAINS
    picture = lupton_rgb(image)
    assert (picture.max(axis=-1) - picture.min(axis=-1)).max() <= 1
    assert 20 < lupton_rgb(np.zeros((3, 3, 3), np.float32))[0, 0, 0] < 60  # an empty sky is dark, and not black


def test_z_is_red_and_g_is_blue():
    image = np.zeros((2, 2, 3), np.float32)
    image[0, 0, 2] = image[1, 1, 0] = 0.2
    picture = lupton_rgb(image).astype(int)
    assert picture[0, 0].argmax() == 0
    assert picture[1, 1].argmax() == 2


def test_holes_are_seen_and_a_missing_band_leaves_the_others():
    image = np.full((2, 4, 4, 3), 0.05, np.float32)
    image[0, 1, 2, 0] = np.nan
    image[1, :, :, 1] = np.nan
    picture = lupton_rgb(image)
    assert tuple(picture[0, 1, 2]) == HOLE
    assert (picture[0].reshape(-1, 3) == HOLE).all(axis=1).sum() == 1
    assert not (picture[1].reshape(-1, 3) == HOLE).all(axis=1).any()
    assert (lupton_rgb(np.full((3, 3, 3), np.nan, np.float32)).reshape(-1, 3) == HOLE).all()


def test_the_picture_bands_of_the_survey_are_shown_wherever_they_stand():
    image = np.random.default_rng(0).normal(0.02, 0.05, (8, 8, 3)).astype(np.float32)
    four = np.insert(image, 2, 100.0, axis=-1)  # i stands between r and z, and is not shown
    assert np.array_equal(lupton_rgb(four, LS_DR10_GRIZ), lupton_rgb(image))
    wide = np.zeros((3, 4, 4, 4), np.float32)
    for k, band in enumerate(("J", "Y", "VIS")):
        wide[k, 1:3, 1:3, WIDE.bands.index(band)] = 0.2
    assert [int(picture[1, 1].argmax()) for picture in lupton_rgb(wide, WIDE)] == [0, 1, 2]
    wide[:, :, :, WIDE.bands.index("H")] = 50.0
    assert [int(picture[1, 1].argmax()) for picture in lupton_rgb(wide, WIDE)] == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_cutouts_of_any_number_of_bands_are_drawn(count):
    image = np.random.default_rng(0).normal(0, 0.05, (2, 9, 9, count)).astype(np.float32)
    picture = lupton_rgb(image, WIDE)
    assert picture.shape == (2, 9, 9, 3)
    assert len(np.unique(picture)) > 20
    if count == 1:
        assert (np.ptp(picture.astype(int), axis=-1) == 0).all()  # grey


def test_noise_is_equally_visible_in_all_bands_and_bright_galaxies_do_not_darken_it():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:101, :101] - 50
    images = rng.normal(0, 1, (2, 101, 101, 4))
    images[1] += 1000 * np.exp(-np.hypot(x, y) / 5)[..., None]
    images *= (1e-4, 1.0, 3.0, 1.0)
    corner = lupton_rgb(images.astype(np.float32), WIDE)[:, :20, :20].astype(float)
    spread = corner.reshape(2, -1, 3).std(axis=1)
    assert spread == pytest.approx(np.full((2, 3), spread.mean()), rel=0.15)
    assert 5 < spread.mean() < 40
    usual = rng.normal(0, 1, (101, 101, 3)) * (0.0027, 0.0035, 0.0092)  # of g, r, z, as of five exposures
    assert spread.mean() == pytest.approx(lupton_rgb(usual.astype(np.float32)).std(), rel=0.3)


def test_each_picture_depends_on_its_own_cutout_alone():
    images = np.random.default_rng(0).normal(0, 1, (3, 21, 21, 4)).astype(np.float32)
    images[1] *= 100
    images[2, :, :, 0] = np.nan
    together = lupton_rgb(images, WIDE)
    assert all(
        np.array_equal(lupton_rgb(image, WIDE), picture) for image, picture in zip(images, together, strict=True)
    )
    assert np.array_equal(together[0], lupton_rgb(images[0] * 1000, WIDE))
