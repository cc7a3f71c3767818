"""The sky's brightness comes from the slope of the variance, and from the survey where the pixels do not tell."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.injection.calibration import calibrate
from lensctl.rules.survey import LS_DR10
from tests.toys.hosts import GAIN, SKY, pixels_of, rows_of

IMAGES, INVVAR = pixels_of(rows_of(10), 101)


def test_the_planted_sky_and_gain_are_measured():
    found = calibrate(LS_DR10, IMAGES, INVVAR)
    assert found.source == ("measured",) * 3
    assert found.sky == pytest.approx(SKY, rel=0.05)
    assert found.gains((SKY / GAIN)[None])[0] == pytest.approx(GAIN, rel=0.05)


def test_invvar_without_a_term_of_the_sources_gives_the_nominal_sky_and_says_so():
    flat = np.broadcast_to((GAIN / SKY).astype(np.float32), IMAGES.shape)
    found = calibrate(LS_DR10, IMAGES, flat)
    assert found.source == ("nominal",) * 3
    assert found.sky == pytest.approx([LS_DR10.imaging[band].sky_nanomaggy for band in "grz"])
    assert len(found.remarks) == 3


def test_a_gain_far_from_the_nominal_one_is_not_used():
    found = calibrate(LS_DR10, IMAGES * 4, INVVAR)
    assert set(found.source) == {"nominal"}
    assert "the slope gives a sky of" in found.remarks[0]


def test_gains_of_a_file_are_those_of_every_cutout():
    found = calibrate(LS_DR10, IMAGES, INVVAR, given={"g": 1.0, "r": 2.0, "z": 3.0})
    assert found.gains(np.ones((4, 3))).tolist() == [[1.0, 2.0, 3.0]] * 4
