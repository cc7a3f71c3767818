"""Levels are judged row by row, and a figure without meaning reaches none."""

from __future__ import annotations

import pyarrow as pa

from lensctl.evaluate.evaluation import evaluation_of
from tests.evaluate.toys import QUICK, column, rescored
from tests.toys.scores import restamped


def test_levels_are_judged_row_by_row(scores, found):
    rows = {row["criterion"]: row for row in found.metrics["levels"]["mvp"]["rows"]}
    recall = rows["Tier-A recall at p = 0.5"]
    assert recall["limit"] == ">= 0.75"
    assert recall["passed"] is True
    assert recall["limit_inside_interval"] is True
    assert rows["AUC of val minus AUC of test"]["passed"] is None
    bad = evaluation_of(rescored(scores, scores["label"].to_numpy() == 1, -6.0), QUICK)
    assert bad.metrics["levels"]["mvp"]["passed"] is False
    assert bad.metrics["levels"]["publication"]["passed"] is False


def test_a_figure_without_meaning_is_none_and_reaches_no_level(scores):
    lone = scores.filter(pa.array((column(scores, "split") != "test") | (column(scores, "tier") != "A")))
    found = evaluation_of(restamped(lone), QUICK)
    assert found.metrics["headline"]["tier_a_recall"]["value"] is None
    assert found.metrics["headline"]["tier_a_auc"]["value"] is None
    assert found.metrics["levels"]["mvp"]["passed"] is False
