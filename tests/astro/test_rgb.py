"""Colour pictures of cutouts: true to the bands, and holes are seen."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lensctl.astro.rgb import BAND_GAIN, HOLE, lupton_rgb


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 100))
def test_colour_pictures_are_whole_and_brighter_pixels_are_no_darker(seed, scale):
    image = np.random.default_rng(seed).normal(0, scale, (5, 6, 3)).astype(np.float32)
    picture = lupton_rgb(image)
    assert picture.shape == (5, 6, 3)
    assert picture.dtype == np.uint8
    brighter = lupton_rgb(np.zeros_like(image) + np.array([0.02, 0.02, 0.02], np.float32) / BAND_GAIN)
    assert (brighter > lupton_rgb(np.zeros_like(image))).all()


def test_a_source_with_the_colours_of_the_gains_is_grey():
    image = np.ones((3, 3, 3), np.float32) * 0.05 / np.array(BAND_GAIN)
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
