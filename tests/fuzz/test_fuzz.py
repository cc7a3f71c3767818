"""Damaged inputs of every reader: each ends with an exit status of ours, in time and in memory."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fuzz.readers import READERS

USUAL, SOAK = 50, 200
"""Damages of each file; of all its readers together."""
READ_BY = Counter(reader.file for reader in READERS.values())
CASES = [
    pytest.param(name, number, marks=[pytest.mark.soak] if number * READ_BY[reader.file] >= USUAL else [])
    for name, reader in READERS.items()
    for number in range(-(-SOAK // READ_BY[reader.file]))
]


@pytest.mark.parametrize("name", READERS)
def test_what_is_not_damaged_is_read(warm, name):
    ended = warm.case(name, None)
    assert ended.status in (0, 1), ended


@pytest.mark.parametrize(("name", "number"), CASES)
def test_damage_is_never_our_fault(warm, name, number):
    ended = warm.case(name, f"{name}-{number}")
    assert ended.is_ours(), f"{name}, number {number}: {ended}"
