"""Thresholds hold their target on val, and take what lies on them."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.evaluate import operating_point, scored
from lensctl.stats.calibration import logistic
from tests.evaluate.toys import column
from tests.toys.scores import toy_scores


def test_thresholds_hold_their_target_on_val(scores, found):
    val = column(scores, "split") == "val"
    logit, others = scores["logit"].to_numpy()[val], scores["label"].to_numpy()[val] == 0
    points = found.metrics["thresholds"]["points"]
    assert [point["name"] for point in points if point["logit"] is None] == ["fpr=0.001", "fpr=0.0001"]
    assert points[-1]["name"] == "above all non-lenses"
    assert points[-1]["text"] == f"0 of {others.sum()}: below {points[-1]['text'].split()[4]} at 95 %"
    for point in (point for point in points if point["logit"] is not None):
        rate = (logit[others] >= point["logit"]).mean()
        assert point["val"]["fpr"]["value"] == pytest.approx(rate)
        if point["target_fpr"] is not None:
            assert rate <= point["target_fpr"]
            assert point["p"] == pytest.approx(float(logistic(point["logit"])))


def test_a_score_at_the_threshold_is_taken():
    part = scored.read_scores(toy_scores(60, 300)).of("test")
    logit = float(np.sort(part.logit)[-5])
    assert operating_point.share_taken(part, logit).events == 5
    assert operating_point.share_taken(part, float(np.nextafter(logit, np.inf))).events == 4
