"""Features measure what they say, of each cutout alone and of its good pixels alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.gates.shortcuts.features import annulus_of, features_of
from lensctl.rules.survey import LS_DR10
from tests.toys.alike_classes import PIXELS
from tests.toys.surveys import WIDE

FEATURES = features_of(LS_DR10, 101)


@pytest.mark.parametrize("size", [64, 101])
def test_features_measure_what_they_say(size):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    galaxy = np.exp(-((x - 1.5) ** 2 + y**2) / 2 / 2.5**2)
    pixels = (rng.normal(0, 0.05, (40, size, size, 3)) + 3 * galaxy[:, :, None] + 0.2).astype(np.float32)
    features = features_of(LS_DR10, size)
    values = dict(zip(features.names, features.measure(pixels, 0.5).mean(axis=0), strict=True))
    assert values["noise_r"] == pytest.approx(0.05, rel=0.02)
    assert values["annulus_mad_r"] == pytest.approx(0.05, rel=0.02)
    assert values["texture_z"] == pytest.approx(1, abs=0.02)
    assert values["annulus_brightness_g"] == pytest.approx(0.2, abs=0.005)
    assert values["centroid_x"] == pytest.approx(1.5, abs=0.1)
    assert abs(values["centroid_y"]) < 0.1
    r = np.hypot(x, y)
    assert values["profile_3_6px_g"] == pytest.approx(3 * galaxy[(r >= 3) & (r < 6)].mean(), rel=0.02)
    assert values["core_brightness"] == pytest.approx(3 * galaxy[r < 10].mean(), rel=0.02)


def test_features_of_a_cutout_do_not_depend_on_its_neighbours_or_on_gaps_elsewhere():
    pixels = PIXELS[:8].copy()
    pixels[0, :5] = np.nan
    pixels[1] = np.nan
    pixels[2] = 0
    together = FEATURES.measure(pixels, 0.5)
    for i in range(8):
        assert np.array_equal(FEATURES.measure(pixels[i : i + 1], 0.5)[0], together[i], equal_nan=True)
    assert np.isfinite(together[0][list(FEATURES.names).index("noise_g")])
    assert FEATURES.measure(pixels[:0], 0.5).shape == (0, len(FEATURES.names))


def test_features_of_a_ring_are_those_of_its_good_pixels():
    pixels = np.full((1, 101, 101, 3), 0.0, np.float32)
    pixels[0, 46:55, 46:55] = 2.0
    whole = FEATURES.measure(pixels, 0.5)
    pixels[0, 50, 51:53, 0] = np.nan
    torn = FEATURES.measure(pixels, 0.5)
    columns = [i for i, name in enumerate(FEATURES.names) if name in ("profile_0_3px_g", "core_mean_0_2px_g")]
    assert torn[0, columns].tolist() == whole[0, columns].tolist() == [2.0, 2.0]


def test_the_features_of_ls_dr10_have_their_names():
    names = FEATURES.names
    assert names == features_of(LS_DR10, 64).names
    assert names[:7] == ("noise_g", "noise_r", "noise_z", "texture_g", "texture_r", "texture_z", "level_g")
    assert FEATURES.inner == "profile_0_3px_z"
    rings = ("0_3", "3_6", "6_10", "10_16", "16_24")
    assert {name for name in names if name.startswith("profile")} == {
        f"profile_{ring}px_{band}" for ring in rings for band in "grz"
    }
    assert FEATURES.core_rings[:4] == (
        "core_mean_0_2px_g",
        "core_mean_0_2px_r",
        "core_mean_0_2px_z",
        "core_mean_2_4px_g",
    )
    assert len(names) == len(set(names)) == 89


def test_radii_in_other_pixels_cover_the_same_angle_and_stay_inside_the_annulus():
    assert features_of(WIDE, 201).profile_edges == (0, 8, 16, 26, 42, 63)  # 2.62 of its pixels are one of ls-dr10
    assert features_of(WIDE, 201).inner == "profile_0_8px_VIS"
    assert features_of(WIDE, 96).profile_edges[-1] == 30  # the annulus begins at 30.7
    coarse = dataclasses.replace(WIDE, pixel_scale_arcsec=2.0)
    assert features_of(coarse, 201).core_edges == (0, 1, 2, 3, 4, 5)


@given(st.floats(0.02, 3.0), st.integers(0, 200))
def test_every_ring_has_pixels_whatever_the_pixel_scale(scale_arcsec, more_px):
    survey = dataclasses.replace(WIDE, pixel_scale_arcsec=scale_arcsec)
    size = features_of(survey, 101).least_size + more_px
    features = features_of(survey, size)
    assert len(set(features.names)) == len(features.names)
    assert features.profile_edges[-1] <= annulus_of(size)[0]
    values = features.measure(np.ones((1, size, size, 4), np.float32), 0.5)
    rings = [i for i, name in enumerate(features.names) if name.startswith(("profile", "core_mean"))]
    assert (values[0, rings] == 0).all()


def test_features_of_other_bands_and_pixels_measure_what_they_say():
    size = 151
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    r = np.hypot(x, y)
    galaxy = np.exp(-((x - 2.5) ** 2 + y**2) / 2 / 5.0**2)  # as wide as the weight of the centroid
    noise = np.random.default_rng(0).normal(0, 0.05, (40, size, size, 4))
    pixels = (noise + galaxy[:, :, None] * (3, 0, 0, 0) + galaxy[:, ::-1, None] * (0, 0, 0, 1)).astype(np.float32)
    features = features_of(WIDE, size)
    values = dict(zip(features.names, features.measure(pixels, 0.5).mean(axis=0), strict=True))
    a, b = features.profile_edges[1:3]
    assert values[f"profile_{a}_{b}px_VIS"] == pytest.approx(3 * galaxy[(r >= a) & (r < b)].mean(), rel=0.02)
    assert values[f"profile_{a}_{b}px_H"] == pytest.approx(galaxy[:, ::-1][(r >= a) & (r < b)].mean(), rel=0.05)
    assert abs(values[f"profile_{a}_{b}px_Y"]) < 0.01
    assert values["centroid_x"] == pytest.approx(2.5, abs=0.3)  # in the depth band, VIS, which is the first
    assert values["noise_J"] == pytest.approx(0.05, rel=0.02)
