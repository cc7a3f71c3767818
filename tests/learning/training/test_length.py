"""The length of a run: passes as given, cutouts as given, or a floor of steps for a small set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.learning.training.length import EPOCHS, length_of


@given(st.integers(2, 10**6), st.integers(2, 4096), st.integers(1, 100))
def test_epochs_alone_are_passes_over_the_rows(rows, batch, epochs):
    length = length_of(rows, batch, epochs=epochs, least_steps=10**6)
    assert (length.epochs, length.samples, length.batch) == (epochs, rows, min(batch, rows))


@given(st.integers(2, 10**6), st.integers(2, 4096), st.integers(0, 5000))
def test_where_nothing_is_said_there_are_the_least_steps_or_thirty_passes(rows, batch, least):
    length = length_of(rows, batch, least_steps=least)
    passes = length_of(rows, batch, epochs=EPOCHS)
    assert length.epochs == EPOCHS
    assert length.all_steps >= max(least, passes.all_steps)
    assert length.all_steps - max(least, passes.all_steps) < EPOCHS
    assert length.batch <= rows


@given(st.integers(2, 10**6), st.integers(2, 4096), st.integers(2, 10**8), st.none() | st.integers(1, 60))
def test_cutouts_seen_are_those_asked_for_up_to_a_batch_an_epoch(rows, batch, seen, epochs):
    length = length_of(rows, batch, cutouts_seen=seen, epochs=epochs, least_steps=10**6)
    assert length.epochs == (epochs or EPOCHS)
    if seen >= length.epochs * length.batch:
        assert abs(length.cutouts_seen - seen) < length.epochs * length.batch
    assert length.steps >= 1


def test_what_runs_had_before_stays():
    """510 steps of 4,400 rows, and samples of a size as given."""
    assert length_of(4400, 256, epochs=30).all_steps == 510
    length = length_of(2608, 64, epochs=8, samples_per_epoch=1500)
    assert (length.samples, length.batch, length.steps) == (1500, 64, 23)


def test_a_small_set_is_seen_more_often_by_default():
    length = length_of(4400, 256, least_steps=1500)
    assert length.as_dict() == {"epochs": 30, "steps_per_epoch": 50, "steps": 1500, "cutouts_seen": 384_000}


@pytest.mark.parametrize("rows", [2, 100])
def test_a_batch_has_no_row_twice_because_there_are_few(rows):
    assert length_of(rows, 256, least_steps=1500).batch == rows
