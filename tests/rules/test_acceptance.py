"""What an interval says of a limit is one of three words, and a level is as its weakest criterion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.rules.acceptance import MISSED, NOT_TOLD, REACHED, of_all, word


@pytest.mark.parametrize(
    ("low", "high", "least", "most"),
    [
        (0.6, 0.9, REACHED, MISSED),
        (0.5, 0.9, REACHED, NOT_TOLD),
        (0.1, 0.9, NOT_TOLD, NOT_TOLD),
        (0.1, 0.5, NOT_TOLD, REACHED),
        (0.1, 0.4, MISSED, REACHED),
        (None, None, NOT_TOLD, NOT_TOLD),
        (0.6, None, REACHED, MISSED),
        (None, 0.4, MISSED, REACHED),
    ],
)
def test_a_limit_is_reached_or_missed_where_the_whole_interval_says_so(low, high, least, most):
    assert word(low, high, 0.5, least=True) == least
    assert word(low, high, 0.5, least=False) == most


@given(st.lists(st.sampled_from([REACHED, NOT_TOLD, MISSED])))
def test_a_level_is_missed_where_one_is_and_reached_where_all_are(words):
    expected = MISSED if MISSED in words else REACHED if all(one == REACHED for one in words) else NOT_TOLD
    assert of_all(words) == expected
