"""A map is p_det over two axes at the median of the others, and its FITS says so to whoever reads it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from lensctl.rules.survey import LS_DR10
from lensctl.selection.p_det.axes import physical_axes
from lensctl.selection.p_det.detection import Prediction
from lensctl.selection.report.maps import SIDE, map_of, write_fits

AXES = physical_axes(LS_DR10)
ABOUT = {"threshold": "fpr=0.001", "model_digest": "sha256:" + "a" * 64, "mock": True, "exploratory": False}


class Known:
    """p_det that is a plain function, known for arcs brighter than 23."""

    axes = AXES

    def predict(self, values):
        p = np.clip(values["theta_e"] / 4 + (22 - values["arc_mag_r"]) / 10, 0, 1) * values["lens_q"]
        return Prediction(p, p - 0.1, p + 0.1, values["arc_mag_r"] < 23)


@pytest.fixture
def values():
    random = np.random.default_rng(0)
    made = {axis.name: random.uniform(0.5, 0.9, 501) for axis in AXES}
    return made | {"theta_e": np.geomspace(0.5, 3.5, 501), "arc_mag_r": random.uniform(18.5, 24, 501)}


def test_every_pixel_is_p_det_there_with_the_other_axes_at_their_median(values):
    made = map_of(Known(), values)
    at = {axis.name: np.array([np.median(values[axis.name])]) for axis in AXES}
    assert {axis.name: value for axis, value in made.held} == {
        axis.name: pytest.approx(at[axis.name][0]) for axis in AXES[2:]
    }
    for row, column in ((0, 0), (3, 50), (40, 7)):
        found = Known().predict(at | {"theta_e": made.x[[column]], "arc_mag_r": made.y[[row]]})
        assert made.planes["p_det"][row, column] == pytest.approx(found.p[0])
        assert made.planes["p_low"][row, column] == pytest.approx(found.low[0])
    assert (made.x[0], made.x[-1]) == pytest.approx((0.5, 3.5))
    np.testing.assert_allclose(np.diff(np.log(made.x)), np.log(7) / (SIDE - 1))


def test_outside_the_support_there_is_no_value(values):
    made = map_of(Known(), values)
    for plane in made.planes.values():
        np.testing.assert_array_equal(np.isfinite(plane), made.inside)
    np.testing.assert_array_equal(made.inside.all(axis=1), made.y < 23)


def test_astropy_reads_values_axes_and_what_was_held(values, tmp_path):
    made = map_of(Known(), values)
    write_fits(tmp_path / "map.fits", made, **ABOUT)
    with fits.open(tmp_path / "map.fits") as file:
        file.verify("exception")
        assert [hdu.name for hdu in file] == ["P_DET", "P_LOW", "P_HIGH", "INSIDE", "HELD"]
        for hdu in file[:3]:
            np.testing.assert_array_equal(hdu.data, made.planes[hdu.name.lower()])
        np.testing.assert_array_equal(file["INSIDE"].data, made.inside)
        header = file["P_DET"].header
        theta, magnitude = WCS(header).wcs_pix2world([0, 12], [0, 60], 0)
        np.testing.assert_allclose(10**theta, made.x[[0, 12]])
        np.testing.assert_allclose(magnitude, made.y[[0, 60]])
        assert (header["CTYPE1"], header["CTYPE2"], header["CUNIT2"]) == ("log10_theta_e", "arc_mag_r", "mag")
        assert (header["THRESH"], header["MODEL"]) == ("fpr=0.001", "a" * 64)
        assert (header["MOCK"], header["EXPLORAT"]) == (True, False)
        held = file["HELD"].data
        assert [(row["axis"], row["unit"]) for row in held] == [(axis.name, axis.unit) for axis in AXES[2:]]
        np.testing.assert_array_equal(held["value"], [value for _, value in made.held])


def test_the_same_map_is_the_same_bytes(values, tmp_path):
    for name in ("one.fits", "two.fits"):
        write_fits(tmp_path / name, map_of(Known(), values), **ABOUT)
    assert (tmp_path / "one.fits").read_bytes() == (tmp_path / "two.fits").read_bytes()


def test_an_axis_of_one_value_is_one_pixel(values, tmp_path):
    values["theta_e"] = np.full(501, 1.5)
    made = map_of(Known(), values)
    write_fits(tmp_path / "map.fits", made, **ABOUT)
    with fits.open(tmp_path / "map.fits") as file:
        assert file["P_DET"].data.shape == (SIDE, 1)
        assert 10 ** WCS(file["P_DET"].header).wcs_pix2world([0], [0], 0)[0][0] == pytest.approx(1.5)
