"""Fluxes in other bands follow from those in g, r and z: exact there, monotone in between, flatter beyond."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.rules.survey import LS_DR10
from lensctl.sky.objects import spectra
from tests.toys.small_sky import example

fluxes = st.floats(1e-3, 1e3)
G, R, Z = spectra.ANCHORS_UM


@given(g=fluxes, r=fluxes, z=fluxes)
def test_fluxes_are_exactly_those_drawn_in_g_r_and_z(g, r, z):
    assert spectra.fluxes(LS_DR10, g, r, z) == {"flux_g": g, "flux_r": r, "flux_z": z}


@given(g=fluxes, r=fluxes, z=fluxes, way=st.floats(0.001, 0.999))
def test_between_two_of_them_the_flux_lies_on_a_power_law(g, r, z, way):
    for low, high, first, last in ((G, R, g, r), (R, Z, r, z)):
        wavelength = low * (high / low) ** way
        found = spectra.flux_at(wavelength, g, r, z)
        assert min(first, last) * (1 - 1e-9) <= found <= max(first, last) * (1 + 1e-9)
        assert np.log(found / first) == pytest.approx(way * np.log(last / first), abs=1e-6)


@given(g=fluxes, r=fluxes, z=fluxes, way=st.floats(0.001, 3))
def test_beyond_them_it_has_half_the_slope(g, r, z, way):
    assert spectra.flux_at(Z * (Z / R) ** way, g, r, z) == pytest.approx(z * (z / r) ** (way / 2), rel=1e-6)
    assert spectra.flux_at(G / (R / G) ** way, g, r, z) == pytest.approx(g * (g / r) ** (way / 2), rel=1e-6)


def test_many_spectra_at_once_are_each_its_own():
    g, r, z = np.array([[1.0, 2.0], [3.0, 1.0], [9.0, 0.5]])
    both = spectra.fluxes(example("vis-yjh"), g, r, z)
    for i in range(2):
        alone = spectra.fluxes(example("vis-yjh"), float(g[i]), float(r[i]), float(z[i]))
        assert {name: float(values[i]) for name, values in both.items()} == pytest.approx(alone)


@pytest.mark.parametrize("name", ["griz", "vis-yjh"])
def test_shares_of_components_add_up_to_one_in_every_band(name):
    survey = example(name)
    bulge, arms = (0.6, 0.3, 0.1), (0.1, 0.4, 0.85)
    disc = tuple(1 - a - b for a, b in zip(bulge, arms, strict=True))
    total = np.sum([spectra.shares(survey, part) for part in (bulge, arms, disc)], axis=0)
    assert total == pytest.approx(np.ones(4))


def test_shares_are_exact_in_g_r_and_z_between_them_in_i_and_constant_beyond():
    g, r, i, z = spectra.shares(example("griz"), (0.5, 0.3, 0.2))
    assert (g, r, z) == (0.5, 0.3, 0.2)
    assert 0.2 < i < 0.3
    assert spectra.shares(example("vis-yjh"), (0.5, 0.3, 0.2))[1:] == [0.2, 0.2, 0.2]


def test_bands_are_found_by_wavelength_whatever_their_order():
    survey = example("vis-yjh")
    assert [survey.bands[i] for i in spectra.bluest(survey)] == ["VIS", "Y", "J", "H"]
    assert [spectra.nearest(survey, wavelength) for wavelength in (R, Z, 5.0)] == ["VIS", "Y", "H"]
    assert spectra.nearest(LS_DR10, Z) == "z"
