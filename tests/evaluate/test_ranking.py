"""Ranking figures and their intervals are those of the curve and of resampled pixels."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.evaluate import scored
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.stats import metrics
from lensctl.stats.intervals import Resampling
from tests.toys.manifests import changed
from tests.toys.scores import restamped


@pytest.mark.parametrize("prevalence", [None, 1e-3])
def test_recall_before_false_positives_and_purity_have_intervals_of_resampled_pixels(scores, prevalence):
    weighted = restamped(
        changed(
            scores, "sampling_weight", np.where(scores["label"].to_numpy() == 1, 1.0, 1.0 + np.arange(len(scores)) % 9)
        )
    )
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
    samples = resampling.purity(test.is_lens, test.logit, [row["completeness"] for row in rows], weight, prevalence)
    points = metrics.curve(test.is_lens, test.logit, weight)
    for k, row in enumerate(rows):
        assert row["value"] == metrics.precision_at_recall(points, row["completeness"], prevalence)
        assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(samples[:, k], [0.025, 0.975])))
        assert row["n"] >= row["completeness"] * test.is_lens.sum()
