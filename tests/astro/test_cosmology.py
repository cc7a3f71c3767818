from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM, z_at_value

from lensctl.astro.cosmology import Cosmology

Z = np.array([0.05, 0.3, 0.8, 1.7, 4.0])


def test_the_volume_grows_by_astropys_volume_element():
    step = 1e-4
    ours = Cosmology(67.0, 0.32)
    element = (ours.volume_mpc3_sr(Z + step) - ours.volume_mpc3_sr(Z - step)) / (2 * step)
    assert np.allclose(element, FlatLambdaCDM(67.0, 0.32).differential_comoving_volume(Z).value, rtol=1e-5)


def test_the_distance_ratio_is_that_of_astropys_angular_diameter_distances():
    of = FlatLambdaCDM(70, 0.3)
    expected = of.angular_diameter_distance(Z, Z + 0.7) / of.angular_diameter_distance(Z + 0.7)
    assert np.allclose(Cosmology().distance_ratio(Z, Z + 0.7), expected.value, rtol=1e-10)


def test_a_source_before_the_lens_has_no_ratio():
    assert Cosmology().distance_ratio(0.5, [0.2, 0.5]).tolist() == [0.0, 0.0]


def test_redshifts_of_shares_divide_the_volume_evenly():
    ours = Cosmology()
    z = ours.redshift_of_share(np.array([0.0, 0.25, 0.5, 1.0]), 0.1, 0.9)
    volume = ours.volume_mpc3_sr(z)
    assert np.allclose((volume - volume[0]) / (volume[-1] - volume[0]), [0, 0.25, 0.5, 1], atol=1e-6)
    half = (volume[0] + volume[-1]) / 2
    exact = z_at_value(FlatLambdaCDM(70, 0.3).comoving_distance, (3 * half) ** (1 / 3) * u.Mpc)
    assert abs(z[2] - exact.value) < 1e-4


def test_one_redshift_is_all_there_is():
    assert Cosmology().redshift_of_share(np.array([0.1, 0.9]), 0.4, 0.4).tolist() == [0.4, 0.4]
