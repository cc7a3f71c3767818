"""P-values of paired differences are those of their definitions, and Holm's correction holds all together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control, norm, t

from lensctl.stats.many import holm, p_of_changes, p_of_difference, p_of_normal

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(P_VALUES)
def test_holm_is_the_slow_obvious_way(p_values):
    ordered = sorted(p_values)
    for value, corrected in zip(p_values, holm(p_values), strict=True):
        rank = ordered.index(value)
        slow = max(min(1.0, (len(ordered) - k) * ordered[k]) for k in range(rank + 1))
        assert corrected == pytest.approx(slow)
        assert corrected >= false_discovery_control(p_values)[p_values.index(value)] - 1e-9  # stricter than by rate


def test_holm_of_nothing_is_nothing():
    assert holm([]) == []


@given(st.integers(0, 30), st.integers(0, 30))
def test_changes_are_judged_by_the_exact_sign_test(gained, lost):
    exact = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert p_of_changes(gained, lost) == pytest.approx(exact)


def test_a_difference_is_judged_by_the_rounds_and_by_students_t():
    samples = norm.ppf((np.arange(4000) + 0.5) / 4000) * 0.1 + 0.25
    scatter = samples.std(ddof=1) * np.sqrt(12 / 11)
    assert p_of_difference(0.25, samples, 12) == pytest.approx(2 * t.sf(0.25 / scatter, 11))
    skew = np.append(np.full(90, 0.5), np.full(10, -0.01))
    assert p_of_difference(0.45, skew, 1000) == pytest.approx(0.2)
    assert p_of_difference(0.0, np.zeros(50), 12) == 1.0
    assert p_of_difference(0.3, np.full(50, np.nan), 12) == p_of_difference(0.3, samples, 1) == 1.0


def test_a_normal_value_is_judged_by_its_interval():
    assert p_of_normal(1.0, 1.959964, 0.95) == pytest.approx(2 * norm.sf(1.0))
    assert p_of_normal(0.0, 0.0, 0.95) == 1.0
    assert p_of_normal(1.0, 0.0, 0.95) == 0.0
