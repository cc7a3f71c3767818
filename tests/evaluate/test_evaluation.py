"""Headline figures are those of test, thresholds and calibration those of val; members of an ensemble scatter."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate.evaluation import evaluation_of
from lensctl.rules.split import calibrates
from lensctl.stats import calibration, metrics
from lensctl.stats.calibration import logistic
from tests.evaluate.toys import QUICK, column, rescored
from tests.toys.manifests import changed
from tests.toys.scores import toy_scores


def test_headline_figures_are_those_of_the_test_split(scores, found):
    test = column(scores, "split") == "test"
    tier, label = column(scores, "tier")[test], scores["label"].to_numpy()[test]
    p, category = scores["p"].to_numpy()[test], column(scores, "confuser_category")[test]
    headline = found.metrics["headline"]
    assert headline["tier_a_recall"]["value"] == (p[tier == "A"] >= 0.5).mean()
    assert headline["tier_a_recall"]["n"] == (tier == "A").sum()
    versus_all = (label == 0) | (tier == "A")
    assert headline["tier_a_auc"]["value"] == pytest.approx(metrics.roc_auc(label[versus_all], p[versus_all]))
    assert headline["test_auc"]["value"] == pytest.approx(metrics.roc_auc(label, p))
    ring = p[(category == "ring_proxy") & (label == 0)]
    assert headline["fpr_by_category"]["ring_proxy"]["value"] == (ring >= 0.5).mean()
    assert headline["contaminant_fpr"]["worst_category"] == "ring_proxy"
    assert headline["fpr_by_category"]["blue_clumpy"]["value"] is None
    assert headline["ece_equal_width"]["value"] == pytest.approx(calibration.ece(label, p))
    assert headline["ece_equal_mass"]["value"] == pytest.approx(calibration.ece(label, p, by="mass"))
    assert headline["ece_positive"]["value"] == pytest.approx(calibration.ece_positive(label, p))
    errors = [headline[name]["excess"] for name in ("ece_equal_width", "ece_equal_mass", "ece_positive")]
    for figure in (*(headline[name] for name in ("tier_a_auc", "test_auc", "fpr", "contaminant_fpr")), *errors):
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["interval"]
    assert (tier == "A").sum() < 10
    assert headline["tier_a_recall"]["why"].startswith("no interval: the rows lie in")
    assert headline["tier_a_auc"]["interval"] == "score interval of the Mann-Whitney statistic"
    assert headline["test_auc"]["interval"] == "wider of DeLong's and the bootstrap over pixels"


def test_thresholds_and_calibration_know_nothing_of_the_test_split(scores, found):
    spoiled = evaluation_of(rescored(scores, column(scores, "split") == "test", 1.5), QUICK)
    for before, after in zip(
        found.metrics["thresholds"]["points"], spoiled.metrics["thresholds"]["points"], strict=True
    ):
        assert (before["logit"], before["val"]) == (after["logit"], after["val"])
    assert found.calibrated == spoiled.calibrated
    assert found.metrics["headline"]["fpr"] != spoiled.metrics["headline"]["fpr"]


def test_headline_figures_know_nothing_of_val_and_train(scores, found):
    spoiled = evaluation_of(rescored(scores, column(scores, "split") != "test", 1.5), QUICK)
    for name in ("tier_a_recall", "tier_a_auc", "contaminant_fpr", "fpr", "ece_equal_width", "test_auc"):
        assert found.metrics["headline"][name] == spoiled.metrics["headline"][name]
    assert found.calibrated != spoiled.calibrated


def test_a_constant_score_is_a_collapse(scores):
    flat = changed(changed(scores, "logit", np.full(len(scores), -4.6)), "p", np.full(len(scores), logistic(-4.6)))
    found = evaluation_of(flat, QUICK)
    assert found.metrics["headline"]["collapsed"] is True
    assert found.metrics["levels"]["mvp"]["verdict"] == "missed"


def test_an_ensembles_spread_is_shown_beside_the_interval():
    ensemble = evaluation_of(toy_scores(members=3), QUICK).metrics["ensemble"]
    assert len(ensemble["members"]) == 3
    spread = ensemble["spread"]["auc"]
    assert spread["low"] < spread["high"]
    assert spread["sd"] > 0
    aucs = [member["auc"] for member in ensemble["members"]]
    assert (spread["low"], spread["high"], spread["sd"]) == (min(aucs), max(aucs), pytest.approx(np.std(aucs, ddof=1)))


def test_a_single_model_has_no_spread(found):
    assert found.metrics["ensemble"] is None


def test_thresholds_and_calibration_are_of_the_rows_that_stopped_nothing(scores, found):
    """Where the model kept part of val out of early stopping, the rest of val decides nothing but the curves of val."""
    split = column(scores, "split")
    kept = (split == "val") & calibrates(scores["healpix_128"].to_numpy(), 0.5)
    halved = scores.append_column("role", pa.array(np.where(kept, "calibrate", split).tolist(), pa.string()))
    half = evaluation_of(halved, QUICK)
    assert half.metrics["thresholds"]["role"] == "calibrate"
    assert found.metrics["thresholds"]["role"] == "val"
    assert half.tables["val_scores"].num_rows == kept.sum()
    assert half.calibrated != found.calibrated
    spoiled = evaluation_of(rescored(halved, (split == "val") & ~kept, 1.5), QUICK)
    assert spoiled.calibrated == half.calibrated
    points = [[point["logit"] for point in each.metrics["thresholds"]["points"]] for each in (half, spoiled)]
    assert points[0] == points[1]
    assert half.metrics["headline"]["test_auc"] == found.metrics["headline"]["test_auc"]
