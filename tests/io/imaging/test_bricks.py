"""Bricks: a position finds its own, and a header says release and layer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.fits.header import Header
from lensctl.io.imaging.bricks import bricks_at, layer_of, release_of

BRICK_TABLE = pa.table(
    {
        "brickname": ["1500p020", "1502p020", "0000m005"],
        "ra1": [149.875, 150.125, 0.0],
        "ra2": [150.125, 150.375, 0.25],
        "dec1": [1.875, 1.875, -0.625],
        "dec2": [2.125, 2.125, -0.375],
    }
)


def test_a_position_finds_its_brick() -> None:
    ra = np.array([150.0, 150.125, 0.1, 360.1, 10.0, 150.0, 150.0, 149.0])
    dec = np.array([2.0, 1.875, -0.5, -0.5, -0.5, 2.125, 80.0, 2.0])
    expected = ["1500p020", "1502p020", "0000m005", "0000m005", None, None, None, None]
    assert bricks_at(BRICK_TABLE, ra, dec) == expected


@pytest.mark.parametrize(
    ("cards", "release", "layer"),
    [
        ({"LSDR": "DR10", "SURVEYID": "DECam"}, "DR10", "ls-dr10"),
        ({"LSDR": "DR9", "SURVEYID": "BASS MzLS"}, "DR9", "ls-dr9-north"),
        ({"LSDR": "DR9", "SURVEYID": "DECaLS"}, "DR9", "ls-dr9-south"),
        ({"DECALSDR": "DR6", "DRVERSIO": 6000}, "DR6", "ls-dr6"),
        ({"DRVERSIO": 10001}, "DR10", "ls-dr10"),
        ({}, None, None),
    ],
)
def test_release_and_layer_come_from_the_header(cards: Header, release: str, layer: str) -> None:
    assert release_of(cards) == release
    assert layer_of(cards) == layer
