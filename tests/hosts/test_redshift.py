"""Redshifts of hosts: measured, or of passive galaxies of their colours, or unknown."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lensctl.hosts.redshift import host_redshifts, redshift_of_colours
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.rules.survey_parts import ColourRedshift

TABLE = LS_DR10.colour_redshift


def colours_at(z):
    return {name: np.interp(z, TABLE.redshift, TABLE.colours[name]) for name in LS_DR10.colour_columns}


def test_colours_of_passive_galaxies_give_their_redshift_back():
    z = np.linspace(0.05, 0.95, 181)
    assert redshift_of_colours(colours_at(z), LS_DR10) == pytest.approx(z, abs=1e-9)


def test_colours_are_freed_from_extinction_where_it_is_known():
    z = np.array([0.2, 0.5])
    transmission = {"g": 0.7, "r": 0.8, "z": 0.9}
    reddened = {name: at.copy() for name, at in colours_at(z).items()}
    reddened["g_minus_r"] -= 2.5 * np.log10(0.7 / 0.8)
    reddened["r_minus_z"] -= 2.5 * np.log10(0.8 / 0.9)
    given = {f"mw_transmission_{band}": np.full(2, t) for band, t in transmission.items()}
    assert redshift_of_colours({**reddened, **given}, LS_DR10) == pytest.approx(z, abs=1e-9)
    assert np.abs(redshift_of_colours(reddened, LS_DR10) - z).min() > 0.02


def test_far_from_the_line_or_without_a_colour_nothing_is_known():
    column = {"g_minus_r": np.array([1.28, 1.28, np.nan, 0.4]), "r_minus_z": np.array([0.66, 1.8, 0.66, 0.5])}
    z, source = host_redshifts(column, 4, LS_DR10)
    assert source.to_pylist() == ["colour", None, None, None]
    assert z.to_pylist() == [pytest.approx(0.25), None, None, None]


def test_a_measured_redshift_counts_first_and_one_of_minus_99_is_none():
    column = {**colours_at(np.array([0.25, 0.35, 0.45])), "z_phot": np.array([0.5, -99.0, np.nan])}
    z, source = host_redshifts(column, 3, LS_DR10)
    assert source.to_pylist() == ["z_phot", "colour", "colour"]
    assert z.to_pylist() == [pytest.approx(0.5), pytest.approx(0.35), pytest.approx(0.45)]


def test_a_table_of_other_colours_is_not_used():
    other = dataclasses.replace(LS_DR10, name="other", colours=(("g", "z"), ("r", "z")))
    column = {"g_minus_z": np.ones(2), "r_minus_z": np.ones(2)}
    assert host_redshifts(column, 2, other)[1].to_pylist() == [None, None]
    assert host_redshifts(
        colours_at(np.array([0.3])), 1, dataclasses.replace(LS_DR10, name="none", colour_redshift=ColourRedshift())
    )[1].to_pylist() == [None]


@pytest.mark.parametrize(
    ("redshift", "colours", "within", "message"),
    [
        ((0.1, 0.2), {"a": (1.0,)}, 0.3, "not a table of 2 rows"),
        ((0.1,), {"a": (1.0,)}, 0.3, "not a table of 2 rows"),
        ((0.1, 0.2), {}, 0.3, "not a table of 2 rows"),
        ((0.2, 0.1), {"a": (1.0, 2.0)}, 0.3, "not ascending"),
        ((0.0, 0.1), {"a": (1.0, 2.0)}, 0.3, "not ascending"),
        ((0.1, 0.2), {"a": (1.0, 2.0)}, 0.0, "within_mag"),
    ],
)
def test_a_table_that_is_none_is_refused(redshift, colours, within, message):
    with pytest.raises(InputError, match=message):
        ColourRedshift(redshift, colours, within)
