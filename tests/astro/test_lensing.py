"""The lens equation against what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lensctl.astro.lensing import Lens, lensed_image
from lensctl.astro.sersic import Sersic

einstein = st.floats(0.5, 3.0)
ratios = st.floats(0.35, 0.98)
angles = st.floats(0, np.pi)
shears = st.floats(-0.12, 0.12)
axis = st.floats(-3.0, 3.0)


@given(theta_e=einstein, angle=st.floats(0, 2 * np.pi), r=st.floats(0.01, 10))
def test_an_isothermal_sphere_deflects_by_its_einstein_radius_everywhere(theta_e, angle, r):
    ax, ay = Lens(theta_e).deflection(r * np.cos(angle), r * np.sin(angle))
    assert (ax, ay) == (
        pytest.approx(theta_e * np.cos(angle), abs=1e-6),
        pytest.approx(theta_e * np.sin(angle), abs=1e-6),
    )


@given(theta_e=einstein, x=axis, y=axis, phi=angles)
def test_the_ellipsoid_becomes_the_sphere_as_q_goes_to_one(theta_e, x, y, phi):
    assume(np.hypot(x, y) > 1e-3)
    near = np.array(Lens(theta_e, 1 - 1e-5, phi).deflection(x, y))
    assert near == pytest.approx(np.array(Lens(theta_e).deflection(x, y)), abs=1e-4)


@given(theta_e=einstein, q=ratios, phi=angles, x=axis, y=axis)
def test_the_divergence_of_the_deflection_is_twice_the_convergence(theta_e, q, phi, x, y):
    assume(np.hypot(x, y) > 0.3)
    lens, h = Lens(theta_e, q, phi), 1e-5
    dax = lens.deflection(x + h, y)[0] - lens.deflection(x - h, y)[0]
    day = lens.deflection(x, y + h)[1] - lens.deflection(x, y - h)[1]
    assert (dax + day) / (2 * h) == pytest.approx(2 * lens.convergence(x, y), rel=1e-5, abs=1e-6)


@given(theta_e=einstein, q=ratios, phi=angles, g1=shears, g2=shears, x=axis, y=axis)
def test_magnification_is_the_inverse_jacobian_of_the_lens_equation(theta_e, q, phi, g1, g2, x, y):
    assume(np.hypot(x, y) > 0.3)
    lens, h = Lens(theta_e, q, phi, g1, g2), 1e-5
    columns = []
    for dx, dy in ((h, 0), (0, h)):
        plus, minus = lens.source_plane(x + dx, y + dy), lens.source_plane(x - dx, y - dy)
        columns.append((np.array(plus) - np.array(minus)) / (2 * h))
    jacobian = float(np.linalg.det(np.array(columns)))
    assert 1 / lens.magnification(x, y) == pytest.approx(jacobian, rel=1e-4, abs=1e-5)


@given(theta_e=einstein, q=ratios, phi=angles)
def test_the_critical_curve_encloses_pi_theta_e_squared(theta_e, q, phi):
    """The curve is where kappa = 1/2; along each direction kappa = c/r, so r = 2 c."""
    lens = Lens(theta_e, q, phi)
    angle = np.linspace(0, 2 * np.pi, 4001)[:-1]
    r = 2 * lens.convergence(np.cos(angle), np.sin(angle))
    inverse = 1 / lens.magnification(r * np.cos(angle), r * np.sin(angle))
    assert np.abs(inverse).max() < 1e-9
    assert np.mean(r**2) * np.pi == pytest.approx(np.pi * theta_e**2, rel=1e-6)


def test_a_point_behind_a_sphere_is_seen_as_a_ring_of_its_einstein_radius():
    lens = Lens(1.3)
    ring = lensed_image(lens, Sersic(0, 0, 1.0, 0.02, 0.5).brightness, size=101, pixel_scale=0.05)
    y, x = (np.mgrid[:101, :101] - 50) * 0.05
    assert (ring * np.hypot(x, y)).sum() / ring.sum() == pytest.approx(1.3, abs=0.005)


@given(theta_e=einstein, share=st.floats(0.02, 0.95), angle=st.floats(0, 2 * np.pi))
def test_two_images_of_a_sphere_are_magnified_by_two_over_beta(theta_e, share, angle):
    beta = share * theta_e
    lens = Lens(theta_e)
    x, y = lens.images(beta * np.cos(angle), beta * np.sin(angle))
    assert len(x) == 2
    assert sorted(np.hypot(x, y)) == pytest.approx([theta_e - beta, theta_e + beta], rel=1e-6)
    assert np.abs(lens.magnification(x, y)).sum() == pytest.approx(2 * theta_e / beta, rel=1e-5)


@given(theta_e=einstein, share=st.floats(1.05, 3))
def test_one_image_of_a_source_beyond_the_einstein_radius_of_a_sphere(theta_e, share):
    lens = Lens(theta_e)
    x, y = lens.images(share * theta_e, 0.0)
    assert x == pytest.approx([(1 + share) * theta_e])
    assert lens.magnification(x, y) == pytest.approx(1 + 1 / share)


@given(theta_e=einstein, q=ratios, phi=angles, g1=shears, g2=shears, bx=st.floats(-1, 1), by=st.floats(-1, 1))
def test_images_satisfy_the_lens_equation(theta_e, q, phi, g1, g2, bx, by):
    assume(np.hypot(bx, by) > 1e-3)
    lens = Lens(theta_e, q, phi, g1, g2, 0.2, -0.1)
    x, y = lens.images(bx, by)
    assert len(x) >= 1
    back = lens.source_plane(x, y)
    assert back[0] == pytest.approx(np.full(len(x), bx), abs=1e-8)
    assert back[1] == pytest.approx(np.full(len(x), by), abs=1e-8)


def test_a_source_inside_the_caustic_of_an_ellipsoid_has_four_images():
    x, _ = Lens(1.0, 0.6, 0.3).images(0.02, 0.01)
    assert len(x) == 4


def test_positive_gamma1_stretches_images_along_x():
    source = Sersic(0, 0, 1.0, 0.3, 1.0)
    image = lensed_image(Lens(1e-9, gamma1=0.1), source.brightness, size=61, pixel_scale=0.1)
    y, x = (np.mgrid[:61, :61] - 30) * 0.1
    spread_x, spread_y = ((image * v**2).sum() / image.sum() for v in (x, y))
    assert np.sqrt(spread_x / spread_y) == pytest.approx(1.1 / 0.9, rel=0.01)


def test_positive_gamma2_stretches_images_along_the_diagonal():
    image = lensed_image(Lens(1e-9, gamma2=0.1), Sersic(0, 0, 1.0, 0.3, 1.0).brightness, size=61, pixel_scale=0.1)
    y, x = (np.mgrid[:61, :61] - 30) * 0.1
    assert (image * x * y).sum() > 0


def test_the_major_axis_of_the_mass_pulls_the_critical_curve_out_along_it():
    lens = Lens(1.0, 0.5, phi=0.0)
    assert lens.convergence(1.0, 0.0) > lens.convergence(0.0, 1.0)
    turned = Lens(1.0, 0.5, phi=np.pi / 2)
    assert turned.convergence(0.0, 1.0) == pytest.approx(lens.convergence(1.0, 0.0))


@pytest.mark.parametrize("beta", [0.15, 0.5])
def test_a_small_lensed_source_has_the_flux_of_its_magnification(beta):
    source = Sersic(beta, 0, 1.0, 0.03, 0.5)
    image = lensed_image(Lens(1.0), source.brightness, size=151, pixel_scale=0.03)
    assert image.sum() == pytest.approx(2 / beta, rel=0.02)


def test_more_rays_change_an_image_little():
    source = Sersic(0.1, 0.05, 1.0, 0.2, 1.0, 0.6, 0.3)
    lens = Lens(1.4, 0.7, 0.5, 0.03, -0.02)
    few, many = (lensed_image(lens, source.brightness, size=41, pixel_scale=0.262, oversample=k) for k in (4, 12))
    assert np.abs(few - many).max() < 0.03 * many.max()


def test_the_centre_of_the_lens_is_not_a_nan():
    assert np.isfinite(np.array(Lens(1.0, 0.7).deflection(0.0, 0.0))).all()
