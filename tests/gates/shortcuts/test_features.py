"""Features measure what they say, of each cutout alone and of its good pixels alone."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.gates.shortcuts import features
from tests.toys.alike_classes import PIXELS


@pytest.mark.parametrize("size", [64, 101])
def test_features_measure_what_they_say(size):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    galaxy = np.exp(-((x - 1.5) ** 2 + y**2) / 2 / 2.5**2)
    pixels = (rng.normal(0, 0.05, (40, size, size, 3)) + 3 * galaxy[:, :, None] + 0.2).astype(np.float32)
    values = dict(zip(features.NAMES, features.measure(pixels, 0.5).mean(axis=0), strict=True))
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
    together = features.measure(pixels, 0.5)
    for i in range(8):
        assert np.array_equal(features.measure(pixels[i : i + 1], 0.5)[0], together[i], equal_nan=True)
    assert np.isfinite(together[0][list(features.NAMES).index("noise_g")])
    assert features.measure(pixels[:0], 0.5).shape == (0, len(features.NAMES))


def test_features_of_a_ring_are_those_of_its_good_pixels():
    pixels = np.full((1, 101, 101, 3), 0.0, np.float32)
    pixels[0, 46:55, 46:55] = 2.0
    whole = features.measure(pixels, 0.5)
    pixels[0, 50, 51:53, 0] = np.nan
    torn = features.measure(pixels, 0.5)
    columns = [i for i, name in enumerate(features.NAMES) if name in ("profile_0_3px_g", "core_mean_0_2px_g")]
    assert torn[0, columns].tolist() == whole[0, columns].tolist() == [2.0, 2.0]
