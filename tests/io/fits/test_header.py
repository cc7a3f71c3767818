"""Headers of images: each card, and where the data begins, are astropy's."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io import fits

from lensctl.io.imaging.local_bricks import FitsFile


@pytest.fixture(scope="module")
def root(small_survey: Path) -> Path:
    return small_survey


def test_our_headers_are_astropys(root: Path) -> None:
    for file in root.rglob("*.fits*"):
        mine = FitsFile(file).image
        with fits.open(file, disable_image_compression=True) as hdus:
            theirs = hdus[mine.extension].header
            assert mine.data_start == hdus[mine.extension]._data_offset
            for key, value in mine.header.items():
                assert theirs[key] == value, key
            assert set(theirs) - {"", "COMMENT", "HISTORY", "CONTINUE"} == set(mine.header)
