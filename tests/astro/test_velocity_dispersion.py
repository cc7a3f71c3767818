from __future__ import annotations

import numpy as np
import pytest
from astropy import constants, units
from astropy.cosmology import FlatLambdaCDM
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gamma

from lensctl.astro.cosmology import Cosmology
from lensctl.astro.velocity_dispersion import DispersionFunction, dispersion_km_s, einstein_radius_arcsec

CHOI = DispersionFunction()


def test_the_einstein_radius_of_a_known_pair_by_way_of_astropys_units():
    of = FlatLambdaCDM(70, 0.3)
    ratio = of.angular_diameter_distance(0.5, 2.0) / of.angular_diameter_distance(2.0)
    angle = 4 * np.pi * (250 * units.km / units.s / constants.c) ** 2 * ratio * units.rad
    expected = angle.to(units.arcsec, equivalencies=units.dimensionless_angles()).value
    assert einstein_radius_arcsec(250.0, Cosmology().distance_ratio(0.5, 2.0)) == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(1.15, abs=0.01)


@given(st.floats(0.1, 5), st.floats(0.05, 0.95))
def test_dispersion_and_radius_are_inverse(theta_e, ratio):
    assert einstein_radius_arcsec(dispersion_km_s(theta_e, ratio), ratio) == pytest.approx(theta_e)


def test_without_distance_no_dispersion_is_enough():
    assert np.isinf(dispersion_km_s(1.0, 0.0))
    assert CHOI.share_above(np.inf, 4) == 0


@pytest.mark.parametrize("power", [0, 4])
def test_the_integral_is_its_gamma_value(power):
    whole, _ = quad(lambda s: CHOI.density(s) * (s / CHOI.sigma_star_km_s) ** power, 1e-3, 3000, limit=300)
    analytic = CHOI.phi_star_mpc3 * gamma((2.32 + power) / 2.67) / gamma(2.32 / 2.67)
    assert CHOI.moment(power) == pytest.approx(analytic, rel=1e-12)
    assert whole == pytest.approx(analytic, rel=1e-6)


def test_its_integral_is_phi_star():
    assert CHOI.moment(0) == pytest.approx(CHOI.phi_star_mpc3)


@pytest.mark.parametrize("power", [0, 4])
def test_the_share_above_is_that_of_the_integral(power):
    above, _ = quad(lambda s: CHOI.density(s) * (s / CHOI.sigma_star_km_s) ** power, 220, 3000, limit=300)
    assert CHOI.share_above(220.0, power) == pytest.approx(above / CHOI.moment(power), rel=1e-6)
    assert CHOI.dispersion_of_share(CHOI.share_above(220.0, power), power) == pytest.approx(220.0)
