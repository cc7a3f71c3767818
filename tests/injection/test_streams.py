"""Every stream of random numbers is a function of seed, galaxy, number and purpose."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.injection.streams import GEOMETRY, NOISE, SOURCE, stream

PURPOSES = st.sampled_from([GEOMETRY, SOURCE, NOISE])
KEYS = st.tuples(st.integers(0, 2**31), st.text("0123456789pm_", min_size=1, max_size=12), st.integers(0, 50), PURPOSES)


@settings(max_examples=50, deadline=None)
@given(one=KEYS, other=KEYS)
def test_equal_keys_give_equal_numbers_and_others_others(one, other):
    first, second = stream(*one).random(4).tolist(), stream(*other).random(4).tolist()
    assert (first == second) == (one == other)
