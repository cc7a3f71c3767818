"""Bins of exposures: each at its edges."""

from __future__ import annotations

import math

import pytest

from lensctl.rules.strata import nobs_bin, text_sql


@pytest.mark.parametrize(
    ("nobs", "expected"),
    [(0, None), (1, "1-2"), (2, "1-2"), (3, "3-5"), (5, "3-5"), (6, "6-10"), (10, "6-10"), (11, "11+"), (99, "11+")],
)
def test_nobs_bins(nobs, expected):
    assert nobs_bin([nobs])[0] == expected


def test_unknown_exposures_are_in_no_bin():
    assert nobs_bin([math.nan, 0.0, 11.0, 16959.0]).tolist() == [None, None, "11+", "11+"]


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("SER", "'SER'"),
        ("", "''"),
        ("O'Brien", "concat('O', chr(39), 'Brien')"),
        ("'\\", "concat(chr(39), chr(92))"),
    ],
)
def test_a_text_is_a_literal_that_every_engine_reads_alike(text, sql):
    assert text_sql(text) == sql
