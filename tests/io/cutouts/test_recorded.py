"""Pixels are those recorded, or they are refused by file, galaxy and row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.cutouts.recorded import Recorded
from lensctl.rules.errors import InputError
from lensctl.rules.quality import fingerprints
from tests.toys.pixels import ids, images

PIXELS = images(4, size=3)
PIXELS[2] = np.nan
RECORDED = Recorded(pa.array(ids(4)), pa.array(fingerprints(PIXELS)))


@given(row=st.integers(0, 3), bit=st.integers(0, 3 * 3 * 3 * 32 - 1))
def test_any_bit_of_any_cutout_counts_of_one_without_pixels_too(row: int, bit: int) -> None:
    every = np.arange(4)
    changed = PIXELS.copy()
    RECORDED.refuse_other_pixels(every, changed, "a.zarr", "")
    changed[row].reshape(-1).view(np.uint8)[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InputError) as error:
        RECORDED.refuse_other_pixels(every, changed, "a.zarr", "copy it again")
    assert str(error.value) == (
        f"a.zarr: the pixels of {ids(4)[row]} (row {row}) are not those recorded for it: "
        "their SHA-256 differs from its cutout_sha256"
    )
    assert error.value.fix == "copy it again"


@given(st.permutations(range(4)))
def test_pixels_in_another_order_than_recorded_are_refused(order: list[int]) -> None:
    moved = next((row for row in range(4) if order[row] != row), None)
    if moved is None:
        return
    with pytest.raises(InputError, match=f"the pixels of {ids(4)[moved]} "):
        RECORDED.refuse_other_pixels(np.arange(4), PIXELS[order], "a.zarr", "")


def test_what_is_not_recorded_is_not_compared_and_said_with_its_number() -> None:
    some = Recorded(pa.array(ids(4)), pa.array([fingerprints(PIXELS)[0], None, None, "0" * 64]))
    some.refuse_other_pixels(np.arange(3), PIXELS[[0, 3, 0]], "a", "")
    assert some.note == "2 of 4 cutouts have no cutout_sha256: they cannot be compared"
    assert RECORDED.note == ""
