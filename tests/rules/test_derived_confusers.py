"""Confuser classes: each rule at its edges, and all of them against the slow obvious way."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.rules.derived import confuser_category, pool_of

NUMBERS = ("flux_r", "mag_r", "g_minus_r", "shape_r", "shape_e1", "shape_e2", "sersic")

number = st.one_of(
    st.just(math.nan), st.floats(-5, 30, width=32), st.sampled_from([0.4, 0.5, 0.6, 1.8, 2.0, 3.0, 4.0, 5.0, 20.5])
)


galaxy = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["SER", "DEV", "REX", "EXP", "PSF"]),
        **dict.fromkeys(NUMBERS, number),
    }
)


def table(rows):
    return pa.table(
        {"type": [r["type"] for r in rows]} | {n: pa.array([r[n] for r in rows], pa.float32()) for n in NUMBERS}
    )


def categories(rows):
    t = table(rows)
    return list(confuser_category({name: t[name].to_numpy(zero_copy_only=False) for name in t.column_names}))


def slowly(row: dict) -> str | None:
    """The rules as one would say them; a comparison with NaN is false."""
    r = {name: value if name == "type" else float(np.float32(value)) for name, value in row.items()}
    e2 = r["shape_e1"] ** 2 + r["shape_e2"] ** 2
    if r["flux_r"] >= 5 and (r["type"] == "DEV" or (r["type"] == "SER" and r["sersic"] >= 4)):
        return "ring_proxy"
    elongated = r["shape_r"] >= 1.8 if math.isnan(e2) else e2 >= 0.25 and r["shape_r"] >= 0.6
    if r["type"] in ("EXP", "SER", "DEV") and elongated:
        return "edge_on_proxy"
    if r["g_minus_r"] <= 0.4 and r["mag_r"] <= 20.5:
        return "blue_clumpy"
    return "large_galaxy" if r["shape_r"] >= 2 and r["flux_r"] >= 3 else None


@given(st.lists(galaxy, min_size=1, max_size=30))
def test_confusers_are_those_of_the_rules_row_by_row(rows):
    assert categories(rows) == [slowly(row) for row in rows]


PLAIN = {
    "type": "SER",
    "flux_r": 1.0,
    "mag_r": 22.5,
    "g_minus_r": 1.0,
    "shape_r": 0.5,
    "shape_e1": 0.1,
    "shape_e2": 0.1,
    "sersic": 1.0,
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"type": "DEV", "flux_r": 5.0}, "ring_proxy"),
        ({"flux_r": 5.0, "sersic": 4.0}, "ring_proxy"),
        ({"flux_r": 5.0, "sersic": 3.9}, None),
        ({"type": "REX", "flux_r": 9.0, "sersic": 5.0}, None),
        ({"shape_e1": 0.3, "shape_e2": 0.4, "shape_r": 0.6}, "edge_on_proxy"),
        ({"shape_e1": 0.3, "shape_e2": 0.4, "shape_r": 0.5}, None),
        ({"type": "REX", "shape_e1": 0.6, "shape_r": 0.9}, None),
        ({"shape_e1": math.nan, "shape_r": 1.9}, "edge_on_proxy"),
        ({"shape_e1": math.nan, "shape_r": 1.7}, None),
        ({"g_minus_r": 0.39, "mag_r": 20.5}, "blue_clumpy"),
        ({"g_minus_r": math.nan, "mag_r": 20.5}, None),
        ({"shape_r": 2.0, "flux_r": 3.0}, "large_galaxy"),
        (
            {"type": "DEV", "flux_r": 5.0, "shape_e1": 0.9, "shape_r": 3.0, "g_minus_r": 0.0, "mag_r": 19.0},
            "ring_proxy",
        ),
    ],
)
def test_confuser_rules(changed, expected):
    assert categories([{**PLAIN, **changed}]) == [expected]


def test_pool_follows_the_class():
    assert list(pool_of(np.array([None, "ring_proxy"], dtype=object))) == ["N1", "N2"]
