"""Bins of exposures: each at its edges."""

from __future__ import annotations

import pytest

from lensctl.rules.strata import nobs_bin


@pytest.mark.parametrize(
    ("nobs", "expected"),
    [(0, None), (1, "1-2"), (2, "1-2"), (3, "3-5"), (5, "3-5"), (6, "6-10"), (10, "6-10"), (11, "11+"), (99, "11+")],
)
def test_nobs_bins(nobs, expected):
    assert nobs_bin([nobs])[0] == expected
