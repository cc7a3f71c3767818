"""Background features measure what is planted, in units of the noise, and neighbours and bad pixels do not count."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.gates.shortcuts.background import NAMES, Background

SIZE, SIGMA = 101, 0.02
REGION = Background.of(SIZE, 32.5, 45.0)


def noise(count: int = 40, seed: int = 0) -> np.ndarray:
    return (SIGMA * np.random.default_rng(seed).standard_normal((count, SIZE, SIZE))).astype(np.float32)


def measured(images: np.ndarray) -> dict[str, np.ndarray]:
    return REGION.measure(images.reshape(len(images), -1), np.full(len(images), SIGMA))


def test_blank_sky_has_no_level_no_gradient_and_its_own_noise():
    found = measured(noise())
    assert tuple(found) == NAMES
    assert abs(found["level"].mean()) < 0.02
    assert found["gradient"].mean() < 0.06
    assert found["rim_noise"].mean() == pytest.approx(1, abs=0.02)
    assert 2 < found["stripe"].mean() < 4.5  # the farthest of some seventy rows and columns
    assert found["corner"].mean() == pytest.approx(1.46, abs=0.25)


def test_what_is_planted_is_measured_in_units_of_the_noise():
    x = np.arange(SIZE) - 50.0
    plain = noise()
    assert measured(plain + 0.3 * SIGMA)["level"].mean() == pytest.approx(0.3, abs=0.03)
    ramp = (x / 45.0 * 0.5 * SIGMA)[None, None, :].astype(np.float32)
    assert measured(plain + ramp)["gradient"].mean() == pytest.approx(0.5, abs=0.06)
    striped = plain.copy()
    striped[:, 95] += SIGMA
    assert measured(striped)["stripe"].mean() == pytest.approx(10, abs=1)  # one sigma over a row of a hundred
    hot = plain.copy()
    hot[:, -1, 0] = 20 * SIGMA
    assert measured(hot)["corner"] == pytest.approx(np.full(40, 20))
    quiet = plain.copy()
    outside = np.hypot(x[:, None], x[None, :]) >= 45
    quiet[:, outside] *= 0.5
    assert measured(quiet)["rim_noise"].mean() == pytest.approx(0.5, abs=0.02)
    assert measured(plain + 0.2 * SIGMA * outside.astype(np.float32))["rim_level"].mean() == pytest.approx(
        0.2, abs=0.03
    )


def test_bright_neighbours_and_bad_pixels_hardly_move_the_level():
    images = noise()
    images[:, 5:15, 5:15] += 100 * SIGMA
    images[:, 45:55, 85:92] += 30 * SIGMA  # in the annulus
    images[:, 90:96, 20:50] = np.nan
    found = measured(images)
    assert abs(found["level"].mean()) < 0.05
    assert abs(found["rim_level"].mean()) < 0.06
    assert found["gradient"].mean() < 0.15


def test_a_cutout_without_data_has_no_values():
    found = measured(np.full((2, SIZE, SIZE), np.nan, np.float32))
    assert all(
        np.isnan(found[name]).all() for name in ("level", "gradient", "stripe", "rim_level") if name != "gradient"
    )
