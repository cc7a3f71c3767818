from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lensctl.selection.follow_up import band_of, follow_up

ROWS = st.lists(st.tuples(st.floats(0, 1) | st.just(float("nan")), st.integers(-5, 5)), min_size=1, max_size=60)


@given(ROWS)
def test_places_are_a_ranking_and_score_decides_within_a_band(rows):
    p, score = (np.array(each, float) for each in zip(*rows, strict=True))
    place, band = follow_up(p, score), band_of(p)
    assert sorted(place[place > 0]) == list(range(1, int((band >= 0).sum()) + 1))
    assert ((place == 0) == np.isnan(p)).all()
    for number in set(band[band >= 0]):
        mine = np.flatnonzero(band == number)
        ordered = mine[np.argsort(place[mine])]
        assert (np.diff(score[ordered]) <= 0).all()


@given(ROWS)
def test_each_band_that_has_candidates_left_gets_every_turn(rows):
    p, score = (np.array(each, float) for each in zip(*rows, strict=True))
    place, band = follow_up(p, score), band_of(p)
    order = np.argsort(place)[np.sort(place) > 0]
    for stop in range(1, len(order) + 1):
        taken, left = np.bincount(band[order[:stop]], minlength=4), np.bincount(band[order[stop:]], minlength=4)
        assert all(taken[b] >= taken.max() - 1 for b in range(4) if left[b])


def test_what_is_found_badly_gets_slots_too():
    p = np.array([0.95, 0.95, 0.95, 0.05])
    assert follow_up(p, np.array([9.0, 8.0, 7.0, 1.0])).tolist() == [2, 3, 4, 1]


def test_equal_scores_keep_the_order_of_the_rows_and_no_score_has_no_place():
    assert follow_up(np.full(3, 0.3), np.array([1.0, np.nan, 1.0])).tolist() == [1, 0, 2]


def test_bands_begin_at_their_edges():
    assert band_of(np.array([0.0, 0.1, 0.5, 0.9, 1.0, np.nan])).tolist() == [0, 1, 2, 3, 3, -1]
