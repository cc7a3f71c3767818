"""Every stream of random numbers is a function of seed, galaxy, number and purpose."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.injection.streams import GEOMETRY, NOISE, SOURCE, stream, uniforms

PURPOSES = st.sampled_from([GEOMETRY, SOURCE, NOISE])
KEYS = st.tuples(st.integers(0, 2**31), st.text("0123456789pm_", min_size=1, max_size=12), st.integers(0, 50), PURPOSES)


@settings(max_examples=50, deadline=None)
@given(one=KEYS, other=KEYS)
def test_equal_keys_give_equal_numbers_and_others_others(one, other):
    first, second = stream(*one).random(4).tolist(), stream(*other).random(4).tolist()
    assert (first == second) == (one == other)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), start=st.integers(0, 500), rows=st.integers(1, 20), words=st.integers(1, 5))
def test_uniform_numbers_of_a_row_are_the_same_whatever_rows_are_drawn(seed, start, rows, words):
    width = 4 * words
    whole = uniforms(seed, "a", 0, start + rows, width)
    assert uniforms(seed, "a", start, start + rows, width).tolist() == whole[start:].tolist()
    assert uniforms(seed, "b", start, start + rows, width).tolist() != whole[start:].tolist()


def test_uniform_numbers_are_uniform_and_independent_between_rows():
    numbers = uniforms(42, "a", 0, 5000, 8)
    assert abs(numbers.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(numbers[:-1, 7], numbers[1:, 0])[0, 1]) < 0.05
