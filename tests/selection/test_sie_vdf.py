from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import quad

from lensctl.astro.velocity_dispersion import einstein_radius_arcsec
from lensctl.injection.design import DEFAULT
from lensctl.rules.errors import InputError
from lensctl.selection.sie_vdf import Assumptions, Hosts, assumptions_of, lenses_of, like

GIVEN = Assumptions()


def hosts(n: int = 400, z: tuple[float, float] = (0.1, 0.9)) -> Hosts:
    rng = np.random.default_rng(5)
    return Hosts(rng.uniform(*z, n), rng.normal(19, 0.7, n))


ONE = Hosts(np.full(3, 0.4), np.full(3, 19.0))


def test_rows_are_the_same_however_many_are_drawn_and_in_whatever_parts():
    whole, part = lenses_of(0, 300, 7, hosts(), DEFAULT, GIVEN), lenses_of(100, 180, 7, hosts(), DEFAULT, GIVEN)
    other = lenses_of(100, 180, 8, hosts(), DEFAULT, GIVEN)
    for field in dataclasses.fields(whole):
        assert (getattr(whole, field.name)[100:180] == getattr(part, field.name)).all(), field.name
    assert not (other.theta_e == part.theta_e).any()


def test_einstein_radii_follow_from_the_row_and_lie_in_the_designs_range():
    made = lenses_of(0, 2000, 1, hosts(), DEFAULT, GIVEN)
    again = einstein_radius_arcsec(made.sigma_km_s, GIVEN.cosmology.distance_ratio(made.z_lens, made.z_source))
    assert np.allclose(made.theta_e, again)
    assert made.theta_e.min() >= 0.5 - 1e-9
    assert made.theta_e.max() <= 3.5 + 1e-9
    assert (made.z_source > made.z_lens).all()
    assert (made.z_source <= 5).all()
    assert (made.source_mag >= 20).all()
    assert (made.source_mag <= 28).all()
    assert (made.weight > 0).all()


def test_the_weights_add_up_to_the_integral():
    """Volume x VDF x cross-section x counts at one redshift, by quadrature; the redshift alone is not integrated."""
    made = lenses_of(0, 20_000, 3, ONE, DEFAULT, GIVEN)
    counts, vdf, cosmology = GIVEN.counts, GIVEN.dispersions, GIVEN.cosmology

    def section(z: float) -> float:
        ratio = float(cosmology.distance_ratio(0.4, z))

        sigma = np.linspace(100, 900, 4001)
        theta_e = einstein_radius_arcsec(sigma, ratio)
        inside = (theta_e >= 0.5) & (theta_e <= 3.5)
        return float(np.trapezoid(vdf.density(sigma) * np.pi * theta_e**2 * inside, sigma))

    z = np.linspace(0.42, 5, 60)
    of_z = np.array([section(each) for each in z])
    mags = np.linspace(20, 28, 81)
    per_z = np.zeros_like(z)
    for mag in mags:
        z0 = float(counts.z0(mag))
        law = z**2 * np.exp(-z / z0)
        whole = quad(lambda x, s=z0: x * x * np.exp(-x / s), 0, 5)[0]
        share = 0.5 if mag in (mags[0], mags[-1]) else 1.0
        per_z += share * 0.1 * float(counts.density(mag)) * law / whole
    expected = np.trapezoid(of_z * per_z, z)
    error = made.weight.std() / np.sqrt(len(made.weight))
    assert made.weight.mean() == pytest.approx(expected, abs=4 * error + 0.01 * expected)
    assert error < 0.02 * expected


def test_what_is_left_out_is_what_a_wider_design_adds():
    """Both to the noise of their draws."""
    wide = dataclasses.replace(DEFAULT, theta_e_arcsec=(1e-3, 4.0))
    middle = dataclasses.replace(DEFAULT, theta_e_arcsec=(0.5, 1.0))
    narrow, whole = (lenses_of(0, 20_000, 2, hosts(), each, GIVEN) for each in (middle, wide))
    total = (narrow.weight + narrow.left_out).mean()
    assert total == pytest.approx((whole.weight + whole.left_out).mean(), rel=0.05)
    assert whole.left_out.mean() < 0.01 * total
    assert 0.4 < narrow.left_out.mean() / total < 0.8


@pytest.mark.parametrize(("name", "factor", "expected"), [("phi_star_mpc3", 2.0, 2.0), ("h0_km_s_mpc", 0.5, 8.0)])
def test_weights_scale_as_numbers_of_galaxies_and_volume(name, factor, expected):
    """A Hubble constant of half has eight times the volume, and leaves every ratio of distances as it is."""
    other = dataclasses.replace(GIVEN, **{name: factor * getattr(GIVEN, name)})
    one, two = (lenses_of(0, 500, 1, hosts(), DEFAULT, each) for each in (GIVEN, other))
    assert np.allclose(two.weight / one.weight, expected)
    assert np.allclose(two.theta_e, one.theta_e)


def test_weights_scale_as_the_fourth_power_of_velocity_dispersion():
    wide = dataclasses.replace(DEFAULT, theta_e_arcsec=(1e-6, 4.0))
    one, two = (
        lenses_of(0, 500, 1, ONE, wide, dataclasses.replace(GIVEN, sigma_star_km_s=sigma)) for sigma in (30.0, 60.0)
    )
    assert np.allclose(two.weight / one.weight, 16, rtol=1e-3)


def test_counts_are_in_the_weight():
    flat = dataclasses.replace(GIVEN, count_slope=0.0)
    one, two = (lenses_of(0, 500, 1, hosts(), DEFAULT, each) for each in (flat, GIVEN))
    slope = np.polyfit(one.source_mag, np.log10(two.weight / one.weight), 1)[0]
    assert slope == pytest.approx(0.3)


def test_a_lens_has_the_host_of_its_rank_among_those_next_in_redshift():
    of = Hosts(np.array([0.1, 0.11, 0.12, 0.5, 0.51, 0.52]), np.array([18.0, 17.0, 19.0, 20.0, 18.0, 19.0]))
    found = like(np.array([0.11, 0.11, 0.11, 0.51, 0.51, 0.9]), np.array([0.0, 0.5, 1.0, -2.0, 0.99, 0.5]), of,
                 GIVEN.cosmology, 3)  # fmt: skip
    assert found.tolist() == [2, 0, 1, 3, 4, 5]


def test_more_massive_lenses_are_brighter():
    many = hosts(2000, (0.39, 0.41))
    made = lenses_of(0, 4000, 1, many, DEFAULT, GIVEN)
    assert np.corrcoef(made.sigma_km_s, many.mag[made.host])[0, 1] < -0.5


def test_skies_are_drawn_from_all_hosts_alike():
    made = lenses_of(0, 8000, 1, hosts(20), DEFAULT, GIVEN)
    assert np.bincount(made.sky, minlength=20).min() > 300


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["sigma_star=165"], "no number 'sigma_star'"),
        (["alpha=x"], "'x' is not a number"),
        (["alpha=nan"], "'nan' is not finite"),
        (["beta=-1"], "beta is -1"),
        (["omega_m=1.2"], "omega_m is 1.2"),
        (["source_mag_faint=19"], "source_mag_bright is not brighter"),
        (["z0_offset=0.9"], "z0 is not above 0 at magnitude 20"),
        (["like_hosts=2.5"], "'2.5' is not a number"),
    ],
)
def test_an_assumption_that_is_none_is_a_sentence(texts, message):
    with pytest.raises(InputError, match=message):
        assumptions_of(texts)


def test_assumptions_are_given_by_name():
    assert assumptions_of(["sigma_star_km_s=165", "like_hosts=9"]) == dataclasses.replace(
        GIVEN, sigma_star_km_s=165.0, like_hosts=9
    )


def test_hosts_behind_which_there_is_nothing_are_refused():
    far = Hosts(np.full(3, 4.9999), np.full(3, 19.0))
    with pytest.raises(InputError, match=r"no galaxy at redshifts 5 to 5 has an Einstein radius of 0.5 to 3.5 arcsec"):
        lenses_of(0, 50, 1, far, DEFAULT, GIVEN)
