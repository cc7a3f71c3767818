from __future__ import annotations

import numpy as np
import pytest

from lensctl.astro.lensed_light import magnifications, multiply_imaged_arcsec2
from lensctl.astro.lensing import Lens, lensed_image
from lensctl.astro.sersic import Sersic


def magnification(lens: Lens, *parts: Sersic) -> float:
    return float(magnifications(lens, [parts])[0])


@pytest.mark.parametrize("size", [0.003, 0.01])
def test_a_small_source_has_the_magnification_of_its_images(size):
    lens = Lens(1.3, 0.7, 0.4, 0.05, -0.03)
    x, y = lens.images(0.3, 0.1)
    expected = np.abs(lens.magnification(x, y)).sum()
    assert magnification(lens, Sersic(0.3, 0.1, 1.0, size, 0.5)) == pytest.approx(expected, rel=5e-3)


def test_behind_a_sphere_a_disc_is_magnified_by_4_theta_e_over_its_radius():
    """A centred source: the mean of 2 theta_e / beta over its light."""
    n, r_half, theta_e = 0.5, 0.4, 1.1
    sigma = r_half / np.sqrt(2 * np.log(2))
    assert magnification(Lens(theta_e), Sersic(0, 0, 1, r_half, n)) == pytest.approx(
        2 * theta_e * np.sqrt(np.pi / 2) / sigma, rel=1e-3
    )


@pytest.mark.parametrize("seed", range(6))
def test_it_is_that_of_a_ray_traced_image(seed):
    rng = np.random.default_rng(seed)
    lens = Lens(rng.uniform(0.6, 1.5), rng.uniform(0.5, 0.95), rng.uniform(0, 3), *rng.uniform(-0.08, 0.08, 2))
    part = Sersic(*rng.uniform(-0.4, 0.4, 2), 2.0, rng.uniform(0.1, 0.4), rng.uniform(0.5, 1.5), 0.6, 0.8)
    image = lensed_image(lens, part.brightness, size=121, pixel_scale=0.08, oversample=12)
    assert magnification(lens, part) == pytest.approx(image.sum() / 2.0, rel=4e-3)


def test_sources_are_apart_and_parts_of_one_are_weighted_by_flux():
    lens = Lens(1.0, 0.8, 0.2)
    one, two = Sersic(0.2, 0, 3.0, 0.2, 1), Sersic(-0.5, 0.3, 1.0, 0.05, 2)
    apart = magnifications(lens, [[one], [two]])
    assert magnification(lens, one, two) == pytest.approx((3 * apart[0] + apart[1]) / 4)


def test_it_does_not_depend_on_scale():
    small, large = Lens(0.7, 0.6, 1.0, 0.03, 0.02), Lens(2.1, 0.6, 1.0, 0.03, 0.02)
    assert magnification(small, Sersic(0.1, 0.2, 1, 0.1, 2)) == pytest.approx(
        magnification(large, Sersic(0.3, 0.6, 1, 0.3, 2))
    )


def test_far_from_the_lens_a_source_has_one_image_of_a_little_more_flux():
    assert magnification(Lens(1.0), Sersic(20.0, 0, 1, 0.1, 1)) == pytest.approx(1 + 1 / 20, rel=2e-3)


def test_the_multiply_imaged_region_of_a_sphere_is_its_einstein_disc():
    assert multiply_imaged_arcsec2(Lens(1.5)) == pytest.approx(np.pi * 1.5**2, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_area_is_the_share_of_points_with_two_images(seed):
    rng = np.random.default_rng(seed)
    lens = Lens(1.2, rng.uniform(0.4, 0.9), rng.uniform(0, 3), *rng.uniform(-0.1, 0.1, 2), 0.1, -0.2)
    points = rng.uniform(-1.8, 1.8, (3000, 2))
    hit = np.mean([lens.image_count(lens.x + x, lens.y + y) >= 2 for x, y in points])
    assert multiply_imaged_arcsec2(lens) == pytest.approx(hit * 3.6**2, rel=4 * np.sqrt((1 - hit) / hit / 3000))


def test_cusps_of_the_caustic_that_lie_beyond_the_cut_count():
    """A flat lens with shear along its axis: a point beyond the cut has three images."""
    lens = Lens(1.0, 0.35, 0.0, -0.15, 0.0)
    points = np.random.default_rng(4).uniform(-1.6, 1.6, (4000, 2))
    hit = np.mean([lens.image_count(x, y) >= 2 for x, y in points])
    cut_only = multiply_imaged_arcsec2(Lens(1.0, 0.35))
    assert multiply_imaged_arcsec2(lens) > 1.02 * cut_only
    assert multiply_imaged_arcsec2(lens) == pytest.approx(hit * 3.2**2, rel=3 * np.sqrt((1 - hit) / hit / 4000))
