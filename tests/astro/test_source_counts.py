from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from lensctl.astro.source_counts import SourceCounts

COUNTS = SourceCounts()


@pytest.mark.parametrize("slope", [0.3, 0.0, -0.1])
def test_counts_add_up_to_one_and_grow_by_their_slope(slope):
    counts = SourceCounts(slope)
    assert quad(counts.density, 20, 28)[0] == pytest.approx(1)
    assert counts.density(26) / counts.density(24) == pytest.approx(10 ** (2 * slope))


@pytest.mark.parametrize("mag", [20.0, 24.0, 28.0])
def test_the_share_behind_is_that_of_the_law(mag):
    z0 = 0.0417 * mag - 0.744
    whole, behind = (quad(lambda z: z * z * np.exp(-z / z0), low, 5)[0] for low in (0, 0.9))
    assert COUNTS.share_behind(0.9, mag) == pytest.approx(behind / whole, rel=1e-6)
    assert COUNTS.redshift_of_share(behind / whole, mag) == pytest.approx(0.9, rel=1e-6)


def test_nothing_lies_beyond_the_last_redshift_and_everything_behind_zero():
    assert COUNTS.share_behind(5.5, 28.0) == 0
    assert COUNTS.share_behind(0.0, 24.0) == 1
    assert COUNTS.redshift_of_share(0.0, 28.0) == pytest.approx(5.0)
