"""The rows that a search keeps, whatever the order in which they come, and their systems."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.search.top import MARGIN, Top, Wanted, leading, ranked, systems


def rows(logits: np.ndarray, first: int = 0) -> pa.Table:
    count = len(logits)
    return pa.table(
        {
            "galaxy_id": [f"b_{first + i:05d}" for i in range(count)],
            "region": [""] * count,
            "ra": np.linspace(10, 20, count) if count else pa.array([], pa.float64()),
            "dec": np.zeros(count),
            "logit": pa.array(logits, pa.float64()),
        }
    )


@given(st.integers(0, 1000), st.integers(1, 20), st.integers(1, 90), st.integers(1, 9))
def test_the_highest_are_kept_with_those_in_the_margin_however_they_come(seed, keep, count, parts):
    logits = np.random.default_rng(seed).normal(0, 3, count).round(3)
    table = rows(logits)
    top = Top(Wanted(keep))
    for part in np.array_split(np.arange(count), parts):
        top.add(table.take(pa.array(part)))
    found = top.rows()
    order = ranked(table)
    least = logits[order[min(keep, count) - 1]]
    assert set(table.take(pa.array(order[:keep]))["galaxy_id"].to_pylist()) <= set(found["galaxy_id"].to_pylist())
    if count > keep:
        assert found["logit"].to_numpy().min() >= least - MARGIN - 1e-12
        assert found.num_rows <= 2 * keep
    assert found["galaxy_id"].to_pylist() == sorted(found["galaxy_id"].to_pylist())  # as they were added


def test_rounding_between_devices_does_not_change_the_list():
    exact = np.array([3.0, 2.0, 1.0004, 1.0, -1.0])
    lists = []
    for shift in (0.0, 4e-4):  # on the other device the third and fourth change places
        top = Top(Wanted(3))
        top.add(rows(exact + shift * np.array([0, 0, -1, 1, 0])))
        found = top.rows()
        again = exact[[int(id[2:]) for id in found["galaxy_id"].to_pylist()]]
        chosen = Wanted(3).final(again, ranked(found, again))
        lists.append([found["galaxy_id"][int(i)].as_py() for i in chosen])
    assert lists[0] == lists[1] == ["b_00000", "b_00001", "b_00002"]


def test_a_threshold_keeps_what_reaches_it_by_the_last_logit():
    top = Top(Wanted(1, logit=1.0))
    top.add(rows(np.array([5.0, 1.0, 1.0 - MARGIN / 2, 0.9])))
    found = top.rows()
    assert found.num_rows == 3
    assert Wanted(1, logit=1.0).final(np.array([5.0, 1.0, 0.9995]), np.array([0, 1, 2])).tolist() == [0, 1]


def test_ties_are_broken_by_id():
    table = rows(np.array([1.0, 2.0, 1.0]))
    assert ranked(table).tolist() == [1, 0, 2]


def at(*arcsec: float) -> pa.Table:
    """Candidates along a line, in order of rank."""
    table = rows(np.arange(len(arcsec), 0, -1.0))
    return table.set_column(2, "ra", pa.array(10.0 + np.array(arcsec) / 3600))


def test_candidates_within_5_arcsec_are_one_system_and_its_members_are_kept():
    found = systems(at(0.0, 300.0, 4.9, 305.1, 600.0))
    assert found["rank"].to_pylist() == [1, 1, 2, 3, 4]
    assert found["members"].to_pylist()[0] == "b_00000|b_00002"
    assert found["n_members"].to_pylist() == [2, 2, 1, 1, 1]
    leaders = leading(found)
    assert leaders["galaxy_id"].to_pylist() == ["b_00000", "b_00001", "b_00003", "b_00004"]
    assert leaders["logit"].to_pylist() == sorted(leaders["logit"].to_pylist(), reverse=True)


@given(st.lists(st.floats(0, 200), min_size=0, max_size=30))
def test_every_candidate_is_in_one_system_and_ranks_have_no_gap(places):
    found = systems(at(*places))
    assert sorted(found["galaxy_id"].to_pylist()) == [f"b_{i:05d}" for i in range(len(places))]
    assert sorted(set(found["rank"].to_pylist())) == list(range(1, leading(found).num_rows + 1))
    for row in leading(found).to_pylist():
        assert row["members"].split("|")[0] == row["galaxy_id"]
        assert len(row["members"].split("|")) == row["n_members"]


def test_no_candidates_are_no_systems():
    assert leading(systems(at())).num_rows == 0
    top = Top(Wanted(3))
    top.add(at())
    assert top.rows().num_rows == 0


@pytest.mark.parametrize("keep", [1, 7])
def test_what_is_kept_is_bounded_when_all_logits_are_one(keep):
    top = Top(Wanted(keep))
    for k in range(20):
        top.add(rows(np.zeros(50), first=50 * k))
    assert top.rows().num_rows == 2 * keep
