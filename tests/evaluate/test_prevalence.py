"""Figures of the sky are those of the weighted rows, and nothing seen is not nothing there."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.rules.errors import InputError
from tests.evaluate.toys import column, rescored
from tests.toys.manifests import changed
from tests.toys.scores import restamped


def test_a_prevalence_that_is_none_is_refused(scores):
    with pytest.raises(InputError, match="between 0 and 1"):
        evaluation_of(scores, Choices(rounds=100, prevalence=1.5))


def test_figures_of_the_sky_are_those_of_the_weighted_rows(scores):
    weight = np.where(scores["label"].to_numpy() == 1, 1.0, np.random.default_rng(0).uniform(1, 30, len(scores)))
    weighted = restamped(changed(scores, "sampling_weight", weight))
    found = evaluation_of(weighted, Choices(rounds=100, prevalence=1e-3)).metrics["sky"]
    test = column(scores, "split") == "test"
    taken, label = scores["logit"].to_numpy()[test] >= 0, scores["label"].to_numpy()[test]
    w = weight[test]
    rate = (w * taken * (label == 0)).sum() / (w * (label == 0)).sum()
    recall = taken[label == 1].mean()
    point = found["at_thresholds"][0]
    assert point["fpr_raw"]["value"] == pytest.approx(taken[label == 0].mean())
    assert point["fpr_weighted"]["value"] == pytest.approx(rate)
    purity = 1e-3 * recall / (1e-3 * recall + 0.999 * rate)
    assert point["purity_at_prevalence"]["value"] == pytest.approx(purity)
    assert point["fpr_weighted"]["low"] < rate < point["fpr_weighted"]["high"]


def test_on_the_sky_calibrated_p_is_of_the_right_size(scores):
    found = evaluation_of(scores, Choices(rounds=100, prevalence=1e-3)).metrics["sky"]["calibration"]
    assert found["ece_raw"]["equal_width"]["value"] > 0.05
    assert found["ece_calibrated"]["equal_width"]["value"] < 0.002


def test_no_false_positive_seen_is_not_none_there(scores):
    test_others = (column(scores, "split") == "test") & (scores["label"].to_numpy() == 0)
    clean = rescored(scores, test_others, -20.0)
    clean = rescored(clean, (column(scores, "split") == "val") & (scores["label"].to_numpy() == 0), 40.0)
    found = evaluation_of(clean, Choices(rounds=100, prevalence=1e-3)).metrics["sky"]["at_thresholds"]
    given = [point for point in found if not point["fpr_weighted"]["why"].startswith("not resolved")]
    assert len(given) == len(found) - 2
    assert all(point["fpr_weighted"]["high"] > 0 for point in given)
    assert all(point["fpr_weighted"]["value"] == 0 for point in given)
    assert given[0]["fpr_weighted"]["text"].startswith("0 of 300: below 0.0100 at 95 %")
    assert given[0]["purity_at_prevalence"]["low"] < 1
    assert given[1]["purity_at_prevalence"]["value"] is None  # val's threshold is so high that nothing is found
    assert given[1]["purity_at_prevalence"]["why"] == "nothing found"
