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
    for point in found.metrics["thresholds"]["points"]:
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
