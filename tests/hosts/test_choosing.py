"""Which galaxies are hosts: laws of the draw."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.astro.lens_units import Lenses
from lensctl.hosts import choosing
from lensctl.hosts.choosing import Draw, criteria_of
from lensctl.rules import sampling_rule
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.toys.host_pools import pool
from tests.toys.surveys import ONE_BAND

FAR = Lenses(("far.csv",), ((np.array([10.0]), np.array([89.0])),))
POOL = pool(3000)


def drawn(rows, count=10_000, seed=42, lenses=FAR, pieces=1, category=None, exclude=30.0):
    draw = Draw(LS_DR10, criteria_of(LS_DR10, "test", category), lenses, exclude, count, seed)
    for start in range(0, rows.num_rows, -(-rows.num_rows // pieces)):
        draw.add(rows.slice(start, -(-rows.num_rows // pieces)))
    return draw, draw.hosts()


def meets(row):
    """The criteria, the slow obvious way."""
    return (
        row["split"] == "test"
        and (row["type"] == "DEV" or (row["type"] == "SER" and row["sersic"] >= 2.5))
        and 17.0 <= row["mag_z"] <= 20.4
        and row["g_minus_r"] >= 0.9
        and row["r_minus_z"] >= 0.5
        and row["nobs_g"] >= 1
        and row["nobs_r"] >= 1
        and row["nobs_z"] >= 3
        and row["maskbits"] == 0
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), mag=st.floats(16, 22), g_r=st.floats(0.5, 1.6), r_z=st.floats(0.2, 1.0))
def test_hosts_are_the_rows_that_meet_every_criterion_first_in_md5_order(seed, mag, g_r, r_z):
    rows = pool(300, seed, mag=(mag, 0.6), g_r=(g_r, 0.3), r_z=(r_z, 0.3))
    draw, found = drawn(rows, 12, seed)
    good = sorted((row["galaxy_id"] for row in rows.to_pylist() if meets(row)),
                  key=lambda id: sampling_rule.order_key(id, seed))  # fmt: skip
    assert draw.eligible == len(good)
    assert found["galaxy_id"].to_pylist() == good[:12]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), small=st.integers(1, 80), more=st.integers(0, 120))
def test_a_larger_count_contains_the_smaller(seed, small, more):
    few, many = (drawn(POOL, count, seed)[1]["galaxy_id"].to_pylist() for count in (small, small + more))
    assert many[: len(few)] == few
    assert len(few) == small


@settings(max_examples=10, deadline=None)
@given(order=st.integers(0, 2**31), pieces=st.integers(1, 9))
def test_neither_the_order_of_rows_nor_their_pieces_matter(order, pieces):
    shuffled = POOL.take(pa.array(np.random.default_rng(order).permutation(POOL.num_rows)))
    assert drawn(shuffled, 50, pieces=pieces)[1].equals(drawn(POOL, 50)[1].combine_chunks())


def test_rows_that_are_dropped_meanwhile_change_nothing(monkeypatch):
    wanted = drawn(POOL, 20)[1]
    monkeypatch.setattr(choosing, "SPARE_ROWS", 5)
    draw, found = drawn(POOL, 20, pieces=60)
    assert found.equals(wanted)
    assert draw.eligible > 60, "rows were dropped"


def test_none_lies_within_the_radius_of_any_lens_of_any_catalogue():
    everyone = drawn(POOL)[1]
    ra, dec = (everyone[axis].to_numpy() for axis in ("ra", "dec"))
    near, far = 29.0 / 3600, 31.0 / 3600
    lenses = Lenses(("a", "b"), ((ra[:30], dec[:30] + near), (ra[30:60], dec[30:60] - far)))
    draw, found = drawn(POOL, lenses=lenses)
    assert set(everyone["galaxy_id"].to_pylist()) - set(found["galaxy_id"].to_pylist()) == set(
        everyone["galaxy_id"].to_pylist()[:30]
    )
    assert draw.lost[choosing.NEAR] == 30


def test_the_funnel_adds_up_and_ends_with_the_hosts():
    draw, found = drawn(POOL, 40)
    funnel = draw.funnel()
    assert funnel[0] == ("read", 0, POOL.num_rows)
    assert [left for *_, left in funnel[1:]] == [
        before - removed for (*_, before), (_, removed, _) in itertools.pairwise(funnel)
    ]
    assert funnel[-1] == ("beyond the count", draw.eligible - 40, found.num_rows)


def test_a_category_takes_the_place_of_type_and_colour_alone():
    assert list(criteria_of(LS_DR10, "val", "large_galaxy, edge_on_proxy")) == [
        "split",
        "mag_z",
        "nobs",
        "maskbits",
        "category",
    ]
    found = drawn(pool(3000, g_r=(0.3, 0.1)), category="blue_clumpy,large_galaxy")[1]
    draw = Draw(LS_DR10, criteria_of(LS_DR10, "test", "blue_clumpy"), FAR, 30.0, 5, 1)
    assert found.num_rows > 5
    assert set(found["confuser_category"].to_pylist()) <= {"blue_clumpy", "large_galaxy"}
    assert "confuser_category" in draw.columns


@pytest.mark.parametrize(
    ("survey", "split", "category", "message"),
    [
        (LS_DR10, "tst", None, r"no split 'tst' \(did you mean 'test'\?\)"),
        (LS_DR10, "test", "ring_prox", r"no confuser class 'ring_prox' \(did you mean 'ring_proxy'\?\)"),
        (LS_DR10, "test", "", "no confuser class ''"),
    ],
)
def test_an_unknown_split_or_class_is_refused(survey, split, category, message):
    with pytest.raises(InputError, match=message):
        criteria_of(survey, split, category)


def test_a_survey_without_criteria_of_hosts_is_refused():
    with pytest.raises(InputError, match="survey one-band has no criteria of hosts"):
        criteria_of(dataclasses.replace(ONE_BAND, hosts={}), "test")


def test_an_id_that_occurs_twice_is_refused_wherever_the_count_ends():
    ids = drawn(POOL, 10)[1]["galaxy_id"].to_pylist()
    twice = pa.concat_tables([POOL, POOL.filter(pa.array([id == ids[-1] for id in POOL["galaxy_id"].to_pylist()]))])
    with pytest.raises(InputError, match=f"occur in more than one row: {ids[-1]}"):
        drawn(twice, 10)
    assert drawn(twice, 9)[1].num_rows == 9


@pytest.mark.parametrize("bad", [np.nan, 400.0, None])
def test_a_position_that_is_none_is_refused(bad):
    spoilt = POOL.set_column(
        POOL.column_names.index("ra"), "ra", pa.array([bad, *POOL["ra"].to_pylist()[1:]], pa.float64())
    )
    with pytest.raises(InputError, match="1 rows or more have a position that is null, NaN or out of range"):
        drawn(spoilt)


def test_a_null_id_is_refused_and_null_values_meet_no_criterion():
    ids = pa.array([None, *POOL["galaxy_id"].to_pylist()[1:]], pa.string())
    with pytest.raises(InputError, match="'galaxy_id' is null"):
        drawn(POOL.set_column(0, "galaxy_id", ids))
    for name in ("type", "mag_z", "nobs_g", "maskbits", "split"):
        none = pa.nulls(POOL.num_rows, POOL[name].type)
        assert drawn(POOL.set_column(POOL.column_names.index(name), name, none))[1].num_rows == 0, name
