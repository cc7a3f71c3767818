"""Answers of the cutout service that prove nothing: numbers that are none, counts that cannot be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lensctl.io.imaging.viewer_response import CutoutRequest, judge
from lensctl.io.storage.backoff import retry_after_seconds
from lensctl.rules.survey import LS_DR10
from tests.toys.viewer_server import answer

REQUEST = CutoutRequest.of("http://host", 15, LS_DR10, "ls-dr10", 0.262, False)
GOOD = answer(150.0, 2.0, 15, "grz", "ls-dr10", 0.262)


def spoiled(**cards: str) -> bytes:
    """A good answer with other values in some cards, as they stand in the file; an empty one is blank."""
    data = GOOD
    for key, value in cards.items():
        at = data.index(f"{key:<8}= ".encode())
        data = data[:at] + f"{key:<8}= {value}".ljust(80).encode()[:80] + data[at + 80 :]
    return data


def test_a_good_answer_is_good():
    assert judge(REQUEST, 150.0, 2.0, 200, GOOD).status is None


@pytest.mark.parametrize("value", ["'nan'", "'inf'", "'150.0'", "NaN", "Infinity", "1E999", "T", "", "9" * 60])
@pytest.mark.parametrize("key", ["CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2"])
def test_a_position_or_scale_that_is_no_number_is_wrong(key, value):
    found = judge(REQUEST, 150.0, 2.0, 200, spoiled(**{key: value}))
    assert (found.status, found.image) == ("wrong_position", None)


@pytest.mark.parametrize("value", ["'3'", "1E999", "NaN", "-101", "T", "", "9" * 60, "3.0"])
@pytest.mark.parametrize("key", ["NAXIS", "NAXIS1", "NAXIS2", "NAXIS3"])
def test_a_side_that_is_no_count_is_no_image(key, value):
    found = judge(REQUEST, 150.0, 2.0, 200, spoiled(**{key: value}))
    assert (found.status, found.image) == ("bad_file", None)


@pytest.mark.parametrize(
    "value", ["²", "nan", "inf", "-1", "9" * 400, "1e3", "Mon, 01 Jan 2024 00:00:00 +99999999999999", ""]
)
def test_a_wait_that_is_none_is_not_kept(value):
    assert retry_after_seconds({"Retry-After": value}, datetime(2026, 2, 8, tzinfo=UTC)) is None


@pytest.mark.parametrize("text", ["https://www.legacysurvey.org", "https://www.legacysurvey.org/viewer/"])
def test_the_address_is_understood_with_and_without_viewer(text):
    request = CutoutRequest.of(text, 15, LS_DR10, "ls-dr10", 0.262, False)
    assert request.address(1.5, 2.0).startswith("https://www.legacysurvey.org/viewer/fits-cutout?ra=1.5&")
    assert CutoutRequest.of("http://host/mirror/", 15, LS_DR10, "ls-dr10", 0.262, False).url == "http://host/mirror"
