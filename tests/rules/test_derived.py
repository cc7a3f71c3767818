"""Derived columns: the magnitude of known fluxes, and of none."""

from __future__ import annotations

import math

import numpy as np

from lensctl.rules.derived import magnitude
from lensctl.rules.split import healpix
from tests.toys import catalogs


def test_magnitudes_of_known_fluxes_and_of_none():
    assert magnitude([10.0, 1.0]).tolist() == [20.0, 22.5]
    assert np.isnan(magnitude([0.0, -1.0, math.nan])).all()


def test_the_pixels_of_a_pool_are_those_of_its_positions():
    pool = catalogs.pool(500)
    ra, dec = pool["ra"].to_numpy(), pool["dec"].to_numpy()
    for nside in (64, 128):
        assert (pool[f"healpix_{nside}"].to_numpy() == healpix(ra, dec, nside)).all()
