"""Our TAN projection against astropy's, to a ten-millionth of a pixel and to the same nearest pixel."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.astro.wcs import Tan, nearest_pixel

SCALE = 0.262 / 3600


def header(ra: float, dec: float, angle: float = 0.0, side: int = 3600) -> Header:
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec}
    cards |= {"CRPIX1": (side + 1) / 2, "CRPIX2": (side + 1) / 2, "NAXIS": 2, "NAXIS1": side, "NAXIS2": side}
    cards |= {"CD1_1": -SCALE * cos, "CD1_2": SCALE * sin, "CD2_1": SCALE * sin, "CD2_2": SCALE * cos}
    return Header(cards)


@given(
    ra=st.floats(0, 360, exclude_max=True),
    dec=st.floats(-89.99, 89.99),
    angle=st.floats(0, 360),
    x=st.floats(0, 3599),
    y=st.floats(0, 3599),
)
@settings(deadline=None)
def test_positions_equal_astropys(ra: float, dec: float, angle: float, x: float, y: float) -> None:
    cards = header(ra, dec, angle)
    wcs = WCS(cards)
    sky_ra, sky_dec = wcs.all_pix2world(x, y, 0)
    theirs = wcs.all_world2pix(sky_ra, sky_dec, 0)
    ours = Tan.of(cards).to_pixel(sky_ra, sky_dec)
    np.testing.assert_allclose(ours, theirs, atol=2e-7)
    for mine, other in zip(ours, theirs, strict=True):
        if abs(other + 0.5 - round(float(other) + 0.5)) > 1e-6:  # at a pixel's very edge, rounding decides
            assert nearest_pixel(mine) == round(float(other))


def test_right_ascension_wraps() -> None:
    tan = Tan.of(header(0.01, 5.0))
    near, far = tan.to_pixel([0.02, 0.0], [5.0, 5.0]), tan.to_pixel([360.02, 360.0], [5.0, 5.0])
    np.testing.assert_allclose(near, far, atol=1e-7)


def test_the_other_half_of_the_sky_is_nowhere() -> None:
    x, _ = Tan.of(header(10, 0)).to_pixel([190.0], [0.0])
    assert np.isnan(x).all()


def test_of_two_pixels_as_near_the_one_above() -> None:
    assert nearest_pixel(np.array([-0.6, -0.5, 0.49, 0.5, 1.5])).tolist() == [-1, 0, 0, 1, 2]


def test_scale_is_the_surveys() -> None:
    assert Tan.of(header(10, 20, 33.0)).pixel_scale_arcsec == 0.262


@pytest.mark.parametrize("spoil", [{"CTYPE1": "RA---SIN"}, {"CRVAL1": None}, {"CD1_1": 0.0, "CD1_2": 0.0}])
def test_a_header_without_a_tan_projection_is_refused(spoil: dict[str, object]) -> None:
    cards = dict(header(10, 20)) | spoil
    with pytest.raises(ValueError, match=r"TAN|CRVAL1|singular"):
        Tan.of({key: value for key, value in cards.items() if value is not None})


@pytest.mark.parametrize("dec", [90.0, -90.0, 90.5, 120.0])
def test_a_reference_point_at_a_pole_or_beyond_is_refused(dec: float) -> None:
    with pytest.raises(ValueError, match="not a declination"):
        Tan.of(header(1.0, dec))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("key", ["CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2"])
def test_a_coordinate_that_is_no_number_is_refused(key: str, value: float) -> None:
    with pytest.raises(ValueError, match="not a number"):
        Tan.of({**header(1.0, 2.0), key: value})
