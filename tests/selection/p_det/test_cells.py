"""Shares in cells: as counted, with intervals that know of neighbours, and none of too few rows."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.rules.survey import LS_DR10
from lensctl.selection.p_det.axes import physical_axes
from lensctl.selection.p_det.cells import LEAST_EFFECTIVE, cells, shares
from lensctl.stats.intervals import wilson
from tests.toys import known_detection

AXES = physical_axes(LS_DR10)
PAIR = ("theta_e", "arc_mag_r")


def toy(seed, **sizes):
    made = known_detection.injections(seed, **sizes)
    return made, cells(AXES, made.values, made.detected, made.pixel, pair=PAIR)


def inside(made, row):
    """Rows in a cell."""
    kept = np.ones(len(made.p), bool)
    for name, low, high in (("axis", "low", "high"), ("second", "second_low", "second_high")):
        if row[name]:
            x = made.values[row[name]]
            last = row[high] == x.max()
            kept &= (x >= row[low]) & ((x <= row[high]) if last else (x < row[high]))
    return kept


def test_each_row_is_counted_once_in_every_division():
    made, found = toy(0, hosts=600)
    assert len(found) == 8 * 8 + 11 * 8
    assert sum(row["n"] for row in found if row["second"]) == 3000
    assert sum(row["k"] for row in found if row["second"]) == made.detected.sum()
    for axis in AXES:
        assert sum(row["n"] for row in found if row["axis"] == axis.name and not row["second"]) == 3000
    for row in found[::7]:
        kept = inside(made, row)
        assert (row["n"], row["k"]) == (kept.sum(), made.detected[kept].sum())


def test_of_independent_rows_it_is_wilsons_interval():
    detected = np.arange(400) % 4 == 0
    (row,) = shares(np.zeros(400, np.int64), detected, np.arange(400), 1)
    expected = wilson(100, 400)
    assert row["n_eff"] == 400
    assert (row["p"], row["p_low"], row["p_high"]) == (0.25, expected.low, expected.high)


def test_of_rows_that_are_copies_only_pixels_count():
    detected, pixel = np.repeat(np.arange(100) % 3 == 0, 7), np.repeat(np.arange(100), 7)
    (row,) = shares(np.zeros(700, np.int64), detected, pixel, 1)
    assert row["n_eff"] == pytest.approx(100, rel=0.02)


def test_below_20_effective_rows_there_is_no_figure_and_it_says_why():
    (few,) = shares(np.zeros(19, np.int64), np.arange(19) < 9, np.arange(19), 1)
    assert few["p"] is few["p_low"] is few["p_high"] is None
    assert few["why"] == "no figure: 19.0 effective rows, fewer than 20"
    (enough,) = shares(np.zeros(20, np.int64), np.arange(20) < 9, np.arange(20), 1)
    assert enough["p"] == 0.45
    (empty,) = shares(np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, np.int64), 1)
    assert (empty["n"], empty["n_eff"], empty["p"]) == (0, 0.0, None)


@pytest.mark.parametrize("seeds", [6, pytest.param(40, marks=pytest.mark.soak)])
def test_intervals_hold_the_mean_of_the_true_probability(seeds):
    """Wilson's for a share of n_eff rows; it also allows for which of them were drawn, so that it holds more."""
    held = []
    for seed in range(seeds):
        made, found = toy(seed, hosts=4000, pixels=400)
        told = [row for row in found if row["p"] is not None]
        assert len(told) > 140
        assert all(row["n_eff"] >= LEAST_EFFECTIVE for row in told)
        held += [row["p_low"] <= made.p[inside(made, row)].mean() <= row["p_high"] for row in told]
    assert 0.92 < np.mean(held) < 0.995


def test_an_axis_with_one_value_has_one_cell():
    made = known_detection.injections(0, hosts=100)
    made.values["lens_q"][:] = 0.7
    rows = [row for row in cells(AXES, made.values, made.detected, made.pixel, pair=PAIR) if row["axis"] == "lens_q"]
    assert [(row["n"], row["low"], row["high"]) for row in rows] == [(500, 0.7, 0.7)]
