"""Stored thresholds carry the rate that they may really have; those of 0.1.0 are as it wrote them."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.frozen.threshold_points import format_of, points_of
from lensctl.stats.thresholds import choose

LABEL, LOGIT = np.arange(550) < 50, np.arange(550, 0, -1.0) - 520


def metrics(schema, count):
    rates = [{"low": k / 100, "high": k / 10} for k in range(count)]
    return {"schema": schema, "thresholds": {"points": [{"val": {"fpr": rate}} for rate in rates]}}


def test_a_threshold_carries_the_interval_of_its_evaluation():
    chosen = choose(LABEL, LOGIT)
    points = points_of(chosen, metrics("lensctl.evaluation/2", len(chosen)))
    assert [point["fpr_high"] for point in points] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert points[1]["fpr_low"] == 0.01
    assert [point["text"] for point in points] == [one.text for one in chosen]
    with pytest.raises(ValueError, match="zip"):
        points_of(chosen, metrics("lensctl.evaluation/2", 2))


def test_those_of_an_old_evaluation_are_of_format_1_without_it():
    old = metrics("lensctl.evaluation/1", 4)
    assert (format_of(old), format_of(metrics("lensctl.evaluation/2", 4))) == (1, 2)
    points = points_of(choose(LABEL, LOGIT, by_format=1), old)
    assert set(points[0]) == {"name", "target_fpr", "logit", "p", "found", "lenses", "false", "others"}
