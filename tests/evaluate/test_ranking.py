"""Ranking figures and their intervals are those of the curve and of resampled pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lensctl.evaluate import ranking, scored
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.stats import metrics
from lensctl.stats.intervals import Resampling
from tests.toys.manifests import changed
from tests.toys.scores import restamped


@pytest.mark.parametrize("prevalence", [None, 1e-3])
def test_recall_before_false_positives_and_purity_are_those_of_the_curve(scores, prevalence):
    weights = np.where(scores["label"].to_numpy() == 1, 1.0, 1.0 + np.arange(len(scores)) % 9)
    weighted = restamped(changed(scores, "sampling_weight", weights))
    found = evaluation_of(weighted, Choices(rounds=100, prevalence=prevalence)).metrics
    test = scored.read_scores(weighted).of("test")
    weight = None if prevalence is None else test.weight
    rows = (found["sky"] if prevalence else found["ranking"]["test"])["purity_at_completeness"]
    resampling = Resampling(test.pixel, 100, 42)
    _, _, before = resampling.ranking(test.is_lens, test.logit, (), (1, 10))
    for k, name in enumerate(("tpr0", "tpr10")):
        figure = found["ranking"]["test"][name]
        assert (figure["low"], figure["high"]) == pytest.approx(tuple(np.quantile(before[:, k], [0.025, 0.975])))
        assert (
            figure["value"]
            == metrics.point_before_false_positive(metrics.curve(test.is_lens, test.logit), (1, 10)[k]).recall
        )
    points = metrics.curve(test.is_lens, test.logit, weight)
    for row in rows:
        assert row["value"] == pytest.approx(metrics.precision_at_recall(points, row["completeness"], prevalence))
        assert row["low"] <= row["value"] <= row["high"]
        assert row["n"] >= row["completeness"] * test.is_lens.sum()


def test_a_recall_at_a_rate_that_is_not_resolved_has_a_bound_and_no_value(scores, found):
    """From 300 non-lenses the recall at FPR 1e-3 and at 1e-4 both were TPR0."""
    rows = {row["fpr"]: row for row in found.metrics["ranking"]["test"]["recall_at_fpr"]}
    assert rows[0.01]["value"] is not None
    tpr0 = found.metrics["ranking"]["test"]["tpr0"]["value"]
    for fpr, expected in ((1e-3, "0.3"), (1e-4, "0.03")):
        assert (rows[fpr]["value"], rows[fpr]["low"], rows[fpr]["false_positives"]) == (None, None, None)
        assert rows[fpr]["why"] == (
            f"not resolved: {expected} false positives are expected of 300 non-lenses; "
            f"before the first (0 of 300: below 0.0099 at 95 %) recall is {tpr0:.3f}"
        )


def test_below_ten_pixels_a_recall_at_a_rate_has_no_interval(scores):
    test = scored.read_scores(scores).of("test")
    few = ranking.figures(replace(test, pixel=np.arange(len(test)) % 9), 100, 42)
    assert few["recall_at_fpr"][0]["value"] is not None
    assert (few["recall_at_fpr"][0]["low"], few["tpr10"]["low"]) == (None, None)
    assert "9 HEALPix pixels" in few["tpr10"]["why"]


def test_curves_have_intervals_about_them(scores):
    found = evaluation_of(scores, Choices(rounds=100, prevalence=1e-3)).tables
    for table, value in (("roc", "recall"), ("purity_completeness", "purity"), ("purity_completeness_sky", "purity")):
        rows = found[table].to_pylist()
        known = [row for row in rows if not np.isnan(row[f"{value}_low"])]
        assert 8 < len(known) <= 90
        assert all(row[f"{value}_low"] <= row[value] <= row[f"{value}_high"] for row in known)
