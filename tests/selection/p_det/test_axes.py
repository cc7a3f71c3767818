"""Axes of p_det: named by the survey's bands, in natural units, and never source_mag."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from lensctl.selection.p_det import axes

PHYSICAL = axes.physical_axes(LS_DR10)


def test_axes_are_those_of_the_survey():
    assert [axis.name for axis in PHYSICAL] == [
        "theta_e", "arc_mag_r", "magnification", "psfsize_r", "psfdepth_r", "mag_z", "shape_r", "source_r_half",
        "delta_g_minus_r", "source_n", "lens_q",
    ]  # fmt: skip
    assert {axis.name for axis in PHYSICAL if axis.log} == {
        "theta_e", "magnification", "psfsize_r", "psfdepth_r", "shape_r", "source_r_half",
    }  # fmt: skip
    assert {axis.name: axis.knots for axis in PHYSICAL if axis.knots != 5} == {"psfsize_r": 20}
    assert [axis.name for axis in axes.observable_axes(LS_DR10)] == [
        "obs_snr_g", "obs_theta_over_psf", "obs_contrast", "obs_delta_g_minus_r", "psfsize_r", "mag_z",
    ]  # fmt: skip
    assert axes.physical_axes(LS_DR10_GRIZ) == PHYSICAL


def test_radius_acts_together_with_brightness_and_seeing():
    assert axes.tensors_of(PHYSICAL) == (("theta_e", "arc_mag_r"), ("theta_e", "psfsize_r"))
    assert axes.tensors_of(PHYSICAL[1:]) == ()


def test_logarithms_are_taken_inside():
    values = {axis.name: np.array([2.0, 3.0]) for axis in PHYSICAL}
    rows = axes.transformed(PHYSICAL, values)
    assert rows.shape == (2, 11)
    for column, axis in zip(rows.T, PHYSICAL, strict=True):
        np.testing.assert_allclose(column, np.log([2, 3]) if axis.log else [2, 3])


def test_source_mag_is_no_axis_and_the_reason_is_told():
    for ask in (
        lambda: axes.chosen(PHYSICAL, ["theta_e", "source_mag_r"]),
        lambda: axes.transformed(PHYSICAL, {"source_mag_r": np.ones(1)}),
    ):
        with pytest.raises(InputError, match="source_mag_r is no axis of p_det: .* censored at its faint end") as error:
            ask()
        assert "magnification" in error.value.fix


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"theta_e": None}, "p_det needs theta_e"),
        ({"theta_e": np.array([1.0, 0.0])}, "theta_e is not above 0 in 1 of 2 rows, first in row 1"),
        ({"mag_z": np.array([np.nan, 19])}, "mag_z is no number in 1 of 2 rows, first in row 0"),
        ({"lens_q": np.array([np.inf, 0.7])}, "lens_q is no number in 1 of 2 rows, first in row 0"),
    ],
)
def test_what_is_missing_or_no_value_is_refused(change, message):
    values = {axis.name: np.ones(2) for axis in PHYSICAL} | change
    with pytest.raises(InputError, match=message):
        axes.transformed(PHYSICAL, {name: column for name, column in values.items() if column is not None})


def test_an_unknown_axis_names_the_near_one():
    assert axes.chosen(PHYSICAL, ["mag_z", "theta_e"]) == (PHYSICAL[5], PHYSICAL[0])
    with pytest.raises(InputError, match=r"no axis 'theta' \(did you mean 'theta_e'\?\)"):
        axes.chosen(PHYSICAL, ["theta"])
