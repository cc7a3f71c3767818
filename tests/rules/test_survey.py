"""The survey as a value: what follows from it, and where its north is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from lensctl.rules.survey import LS_DR10


def test_the_north_is_above_its_declination_and_north_of_the_galactic_plane():
    random = np.random.default_rng(1)
    ra, dec = random.uniform(0, 360, 20_000), np.degrees(np.arcsin(random.uniform(-1, 1, 20_000)))
    galactic = SkyCoord(ra * u.deg, dec * u.deg).galactic.b.deg
    sure = np.abs(galactic) > 1e-3
    assert (LS_DR10.is_north(ra, dec) == (dec > 32.375) & (galactic > 0))[sure].all()
    assert 0.1 < LS_DR10.is_north(ra, dec).mean() < 0.3


def test_a_survey_without_a_northern_layer_has_no_north():
    one = dataclasses.replace(LS_DR10, northern_layer="")
    assert not one.is_north([200.0, 10.0], [60.0, 60.0]).any()


def test_what_follows_from_scale_size_and_fractions():
    assert LS_DR10.cutout_arcsec == pytest.approx(26.462)
    assert LS_DR10.share_limits == {"train": (0.65, 0.75), "val": (0.12, 0.18), "test": (0.12, 0.18)}
    other = dataclasses.replace(LS_DR10, split_fractions={"train": 0.8, "val": 0.1, "test": 0.1})
    assert other.share_limits == {"train": (0.75, 0.85), "val": (0.07, 0.13), "test": (0.07, 0.13)}
