"""Events per area: an exact interval, and a bound where nothing was counted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from lensctl.stats.densities import density


def test_the_interval_holds_the_true_density_as_often_as_it_says():
    area = 3.0
    for true in (0.7, 2.0, 9.0):
        counts = np.arange(0, 200)
        held = []
        for count in counts:
            found = density(int(count), area)
            if count == 0:
                held.append(-np.log(0.05) / area >= true)
            else:
                held.append(found["low"] <= true <= found["high"])
        cover = poisson.pmf(counts, true * area)[np.array(held)].sum()
        assert 0.95 <= cover <= 0.995, true


def test_no_event_is_a_bound_and_no_figure():
    found = density(0, 12.34)
    assert (found["value"], found["low"], found["high"]) == (None, None, None)
    assert found["text"] == "none in 12.3 deg²: below 0.24 at 95 %"
    assert density(3, 0.0)["why"] == "no area was searched"


def test_few_events_are_marked():
    assert [density(n, 1.0)["few"] for n in (1, 9, 10)] == [True, True, False]
    assert density(10, 4.0)["value"] == pytest.approx(2.5)
