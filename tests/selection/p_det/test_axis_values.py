from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.selection.p_det.axis_values import axis_values, scaled

GOOD = {
    "theta_e": [1.0, 2.0],
    "arc_mag_r": [21.0, 23.5],
    "magnification": [3.0, 40.0],
    "psfsize_r": [1.2, 1.4],
    "psfdepth_r": [300.0, 900.0],
    "mag_z": [18.5, 19.5],
    "shape_r": [1.0, 3.0],
    "source_r_half": [0.05, 0.5],
    "delta_g_minus_r": [-1.5, -0.4],
    "source_n": [1.0, 2.5],
    "lens_q": [0.7, 1.0],
}
NAMES = tuple(GOOD)


def read(**changes):
    return axis_values(pa.table({**GOOD, **changes}), NAMES, LS_DR10, "t.csv")


def test_good_axes_are_read_as_they_are():
    found = read()
    assert list(found) == list(NAMES)
    assert all(found[name].tolist() == GOOD[name] for name in NAMES)


def test_the_magnitude_of_arcs_is_computed_where_it_is_absent():
    columns = {name: values for name, values in GOOD.items() if name != "arc_mag_r"}
    table = pa.table({**columns, "lensed_mag_r": [21.0, 22.0], "mw_transmission_r": [1.0, 0.9]})
    found = axis_values(table, NAMES, LS_DR10, "t")
    assert np.allclose(found["arc_mag_r"], [21.0, 22.0 - 2.5 * np.log10(0.9)])


def test_a_magnitude_that_is_there_is_not_computed():
    table = pa.table({**GOOD, "lensed_mag_r": [1.0, 1.0], "mw_transmission_r": [1.0, 0.9]})
    assert axis_values(table, NAMES, LS_DR10, "t")["arc_mag_r"].tolist() == GOOD["arc_mag_r"]


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_axis_is_named(name):
    with pytest.raises(InputError, match=f"column '{name}' is missing"):
        axis_values(pa.table({n: v for n, v in GOOD.items() if n != name}), NAMES, LS_DR10, "t")


@pytest.mark.parametrize(
    ("name", "values", "guess"),
    [
        ("theta_e", [4.8e-6, 9.7e-6], "are these radians or degrees"),
        ("theta_e", [1000.0, 1500.0], "are these milliarcsec"),
        ("arc_mag_r", [1.6, 0.4], "are these fluxes in nanomaggies"),
        ("mag_z", [40.0, 16.0], "are these fluxes in nanomaggies"),
        ("magnification", [0.5, 1.6], "are these logarithms or magnitudes"),
        ("psfsize_r", [4.6, 5.3], "are these pixels"),
        ("psfdepth_r", [24.1, 24.6], "are these magnitudes"),
        ("psfdepth_r", [0.003, 0.001], "are these variances"),
        ("source_r_half", [50.0, 500.0], "are these milliarcsec"),
        ("lens_q", [1.4, 1.1], "are these major over minor"),
        ("source_n", [0.0, 1.0], "are these another unit"),
        ("delta_g_minus_r", [-100.0, 1.0], "are these another unit"),
        ("shape_r", [0.0, 1.0], "are these degrees"),
    ],
)
def test_another_unit_is_refused_with_a_guess(name, values, guess):
    with pytest.raises(InputError, match=f"t.csv: {name} .*{guess}") as caught:
        read(**{name: values})
    assert caught.value.fix.startswith(f"give {name} as ")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, None], "column 'theta_e' is null or NaN in 1 rows, first in row 1"),
        ([1.0, float("inf")], "theta_e is infinite in row 1"),
        (["1", "2"], "column 'theta_e' is string, not a number"),
    ],
)
def test_what_is_no_number_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        read(theta_e=values)


def test_a_transmission_that_is_none_is_refused():
    columns = {name: values for name, values in GOOD.items() if name != "arc_mag_r"}
    table = pa.table({**columns, "lensed_mag_r": [21.0, 22.0], "mw_transmission_r": [0.9, 1.2]})
    with pytest.raises(InputError, match=r"mw_transmission_r = 1.2 in row 1 is no transmission"):
        axis_values(table, NAMES, LS_DR10, "t")


def test_ratios_are_scaled_by_their_logarithm():
    found = scaled({"theta_e": np.array([1.0, np.e]), "mag_z": np.array([18.0, 19.0])}, ("theta_e", "mag_z"))
    assert np.allclose(found, [[0, 18], [1, 19]])
