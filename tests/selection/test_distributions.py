from __future__ import annotations

import numpy as np
import pytest

from lensctl.selection.distributions import edges_of, intrinsic_and_selected, places

RNG = np.random.default_rng(1)
VALUES, WEIGHT, P = RNG.normal(0, 1, 5000), RNG.random(5000), RNG.random(5000)
PIXEL = RNG.integers(0, 200, 5000)
EDGES = edges_of(VALUES, WEIGHT, logarithmic=False)


PLACE = places(VALUES, EDGES)
EXACT = np.zeros(len(EDGES) - 1)


def shown(pixel=PIXEL, p=P, errors=EXACT):
    return intrinsic_and_selected(PLACE, WEIGHT, p, p - 0.1, p + 0.1, pixel, EDGES, errors)


def test_bins_hold_every_row_and_shares_add_up_to_one():
    rows = shown()
    assert (rows[0]["low"], rows[-1]["high"]) == (VALUES.min(), VALUES.max())
    for name in ("intrinsic", "selected"):
        assert sum(row[name]["value"] for row in rows) == pytest.approx(1, abs=1e-5)


def test_a_bin_is_the_weighted_share_by_brute_force():
    row = shown()[4]
    inside = (row["low"] <= VALUES) & (row["high"] > VALUES)
    assert row["intrinsic"]["value"] == pytest.approx(WEIGHT[inside].sum() / WEIGHT.sum(), abs=1e-6)
    assert row["selected"]["value"] == pytest.approx((WEIGHT * P)[inside].sum() / (WEIGHT * P).sum(), abs=1e-6)
    assert row["p_det"]["value"] == pytest.approx(np.average(P[inside], weights=WEIGHT[inside]), abs=1e-6)
    assert row["p_det"]["high"] == pytest.approx(row["p_det"]["value"] + 0.1, abs=2e-6)


def test_where_everything_is_found_alike_both_distributions_are_one():
    for row in shown(p=np.full(5000, 0.3)):
        assert row["intrinsic"] == row["selected"]


def test_intervals_are_those_of_the_sampling():
    row = shown()[4]
    share = row["intrinsic"]["value"]
    n = WEIGHT.sum() ** 2 / (WEIGHT**2).sum()
    assert (row["intrinsic"]["high"] - row["intrinsic"]["low"]) / 3.92 == pytest.approx(
        np.sqrt(share * (1 - share) / n), rel=0.25
    )


def test_in_few_pixels_there_is_no_interval_but_a_reason():
    for row in shown(PIXEL % 5):
        assert row["intrinsic"]["low"] is None
        assert "fewer than 10" in row["why"]


def test_without_pixels_rows_are_independent():
    of_pixels = shown(np.arange(5000))[4]
    for name in ("intrinsic", "selected"):
        for end in ("low", "high"):
            assert shown(None)[4][name][end] == pytest.approx(of_pixels[name][end], abs=0.002)


@pytest.mark.parametrize("pixel", [PIXEL, None])
def test_the_share_of_found_lenses_is_as_uncertain_as_p_det_too(pixel):
    exact, wider = shown(pixel)[4], shown(pixel, errors=np.full(len(EXACT), 0.03))[4]
    assert wider["intrinsic"] == exact["intrinsic"]
    for end, sign in (("low", -1), ("high", 1)):
        own = sign * (exact["selected"][end] - exact["selected"]["value"])
        assert sign * (wider["selected"][end] - wider["selected"]["value"]) == pytest.approx(
            np.hypot(own, 0.03), abs=1e-5
        )


def test_edges_of_ratios_are_equally_far_apart_in_ratio():
    values = np.exp(RNG.normal(0, 1, 4000))
    inner = edges_of(values, np.ones(4000), logarithmic=True)[1:-1]
    assert np.allclose(np.diff(np.log(inner)), np.log(inner[1] / inner[0]))


def test_a_value_that_does_not_vary_is_one_bin():
    edges = edges_of(np.ones(10), np.ones(10), logarithmic=True)
    place = places(np.ones(10), edges)
    rows = intrinsic_and_selected(
        place, np.ones(10), *(np.full(10, p) for p in (0.5, 0.4, 0.6)), None, edges, np.zeros(1)
    )
    assert [row["selected"]["value"] for row in rows] == [1.0]


def test_an_empty_bin_has_no_p_det():
    edges = np.array([0, 0.25, 0.5, 1.0])
    place = places(np.array([0.0, 1.0]), edges)
    rows = intrinsic_and_selected(place, np.ones(2), *[np.full(2, 0.5)] * 3, None, edges, np.zeros(3))
    assert rows[1]["p_det"]["value"] is None
    assert rows[1]["intrinsic"]["value"] == 0
