from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.stats.effective import effective_number

WEIGHTS = st.lists(st.floats(0.01, 100), min_size=1, max_size=40)


@given(WEIGHTS, st.integers(1, 7))
def test_it_is_the_formula_by_brute_force(weights, groups):
    group = [f"h{i % groups}" for i in range(len(weights))]
    sums = {name: sum(w for w, g in zip(weights, group, strict=True) if g == name) for name in set(group)}
    expected = sum(sums.values()) ** 2 / sum(v * v for v in sums.values())
    assert effective_number(weights, np.array(group)) == pytest.approx(expected)


@given(WEIGHTS)
def test_it_lies_between_one_and_the_number_of_rows(weights):
    assert 1 - 1e-9 <= effective_number(weights) <= len(weights) + 1e-9


def test_equal_weights_count_as_groups():
    assert effective_number(np.ones(12), np.arange(12) // 3) == pytest.approx(4)


def test_without_weight_there_is_none():
    assert effective_number(np.zeros(3)) == 0
