"""Sersic profiles against their analytic integrals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gammainc

from lensctl.astro import sersic
from lensctl.astro.sersic import Sersic, Shapes
from lensctl.rules.survey import LS_DR10

indices = st.floats(0.5, 6.0)
ratios = st.floats(0.15, 1.0)
radii = st.floats(0.2, 5.0)
angles = st.floats(0.0, np.pi)


def draw(
    r_half: float, n: float, q: float, phi: float = 0.4, dx: float = 0.0, dy: float = 0.0, *, size: int
) -> np.ndarray:
    shape = Shapes(*(np.array([value]) for value in (r_half, n, q, phi)))
    return sersic.stamps(shape, np.array([dx]), np.array([dy]), size=size, pixel_scale=LS_DR10.pixel_scale_arcsec)[0]


@given(n=indices)
def test_b_n_agrees_with_the_asymptotic_expansion_of_ciotti_and_bertin(n):
    expansion = 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2) + 131 / (1148175 * n**3)
    assert sersic.b_n(n) == pytest.approx(expansion, abs=2e-3)


def test_b_n_of_a_gaussian_is_ln_2_and_of_an_exponential_is_the_textbook_one():
    assert sersic.b_n(0.5) == pytest.approx(np.log(2))
    assert sersic.b_n(1.0) == pytest.approx(1.67834699)
    assert sersic.b_n(4.0) == pytest.approx(7.66924944)


@given(n=indices, q=ratios, r_half=radii)
def test_brightness_integrates_to_the_total_flux(n, q, r_half):
    profile = Sersic(0, 0, 3.0, r_half, n, q, 0.0)
    radial = lambda t: 2 * np.pi * q * np.exp(2 * t) * float(profile.brightness(np.exp(t), 0.0))  # noqa: E731
    total = quad(radial, np.log(r_half * 1e-9), np.log(r_half * 1e4), limit=400)[0]
    assert total == pytest.approx(3.0, rel=1e-5)


def enclosed(r: float, r_half: float, n: float) -> float:
    """Fraction of the light within r (Graham & Driver 2005, PASA 22, 118, eq. 2 over eq. 4)."""
    return float(gammainc(2 * n, sersic.b_n(n) * (r / r_half) ** (1 / n)))


@given(n=indices)
def test_half_of_the_light_lies_within_r_half(n):
    assert enclosed(1.7, 1.7, n) == pytest.approx(0.5)


@given(n=indices, r=st.floats(0.01, 20))
def test_the_light_within_a_radius_is_the_integral_of_the_brightness(n, r):
    profile = Sersic(0, 0, 1.0, 1.0, n)
    radial = lambda t: 2 * np.pi * np.exp(2 * t) * float(profile.brightness(np.exp(t), 0.0))  # noqa: E731
    inside = quad(radial, np.log(1e-9), np.log(r), limit=400)[0]
    assert enclosed(r, 1.0, n) == pytest.approx(inside, rel=1e-4, abs=1e-7)


@given(n=indices, q=ratios, r_half=radii, flux=st.floats(0.1, 100), level=st.floats(1e-3, 10))
def test_radius_at_a_brightness_is_where_the_profile_has_it(n, q, r_half, flux, level):
    r = float(sersic.radius_at(level, flux, r_half, n, q))
    profile = Sersic(0, 0, flux, r_half, n, q)
    if r > 0:
        assert float(profile.brightness(np.float64(r), np.float64(0.0))) == pytest.approx(level, rel=1e-6)
    else:
        assert float(profile.brightness(np.float64(0.0), np.float64(0.0))) <= level * (1 + 1e-6)


def test_brightness_is_constant_along_the_ellipse_and_drops_across_it():
    profile = Sersic(0.3, -0.2, 1.0, 1.0, 2.0, 0.5, 0.7)
    along = profile.brightness(0.3 + np.cos(0.7), -0.2 + np.sin(0.7))
    across = profile.brightness(0.3 - 0.5 * np.sin(0.7), -0.2 + 0.5 * np.cos(0.7))
    assert along == pytest.approx(across)
    assert profile.brightness(0.3 - np.sin(0.7), -0.2 + np.cos(0.7)) < 0.5 * along


@pytest.mark.parametrize(("n", "r_half", "q"), [(0.5, 0.4, 1.0), (1, 0.3, 1.0), (1, 1.5, 0.3), (2.5, 1.0, 0.5)])
def test_pixels_add_up_to_the_total_flux(n, r_half, q):
    assert draw(r_half, n, q, size=401).sum() == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("place", [(0.0, 0.0), (0.2, -0.4), (0.5, 0.5), (-0.3, 0.1)])
@pytest.mark.parametrize("r_half", [0.4, 1.5])
def test_pixels_of_a_de_vaucouleurs_galaxy_hold_what_is_on_the_stamp_wherever_its_cusp_falls(place, r_half):
    stamp = draw(r_half, 4.0, 1.0, 0.0, *place, size=201)
    y, x = (np.mgrid[:201, :201] - 100).astype(float)
    inside = np.hypot(x - place[0], y - place[1]) * LS_DR10.pixel_scale_arcsec < 26
    assert stamp[inside].sum() == pytest.approx(enclosed(26, r_half, 4.0), abs=0.015)


def test_finer_pixels_converge_to_the_same_flux_in_an_aperture():
    def aperture(parts: int) -> float:
        shape = Shapes(np.array([0.8]), np.array([1.0]), np.array([0.6]), np.array([0.3]))
        scale, zero = LS_DR10.pixel_scale_arcsec / parts, np.zeros(1)
        stamp = sersic.stamps(shape, zero, zero, size=61 * parts, pixel_scale=scale)[0].astype(float)
        y, x = (np.mgrid[: 61 * parts, : 61 * parts] - (61 * parts - 1) / 2) * scale
        return float(stamp[np.maximum(abs(x), abs(y)) < 5.5 * LS_DR10.pixel_scale_arcsec].sum())

    coarse, fine, finest = (aperture(parts) for parts in (1, 3, 5))
    assert abs(fine - finest) < 1e-3
    assert coarse == pytest.approx(finest, abs=2e-3)


@given(dx=st.floats(-0.5, 0.5), dy=st.floats(-0.5, 0.5))
def test_the_centroid_of_a_stamp_is_where_it_was_asked_for(dx, dy):
    stamp = draw(0.6, 1.0, 0.7, 0.5, dx, dy, size=41).astype(float)
    y, x = np.mgrid[:41, :41] - 20
    assert (stamp * x).sum() / stamp.sum() == pytest.approx(dx, abs=0.02)
    assert (stamp * y).sum() / stamp.sum() == pytest.approx(dy, abs=0.02)


@given(q=ratios, phi=angles)
def test_tractor_ellipticity_inverts_to_axis_ratio_and_position_angle(q, phi):
    e1, e2 = sersic.tractor_ellipticity(q, phi)
    e = np.hypot(e1, e2)
    assert (1 - e) / (1 + e) == pytest.approx(q)
    if e > 1e-3:
        position_angle = 0.5 * np.arctan2(e2, e1)
        assert np.cos(2 * (position_angle + np.pi / 2 - phi)) == pytest.approx(1.0)


def test_a_galaxy_along_north_has_positive_e1():
    e1, e2 = sersic.tractor_ellipticity(1 / 3, np.pi / 2)
    assert (e1, e2) == (pytest.approx(0.5), pytest.approx(0.0))
