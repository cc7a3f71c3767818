"""Levels are judged row by row by intervals, in three words, and a figure without meaning reaches none."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lensctl.evaluate import verdict
from lensctl.evaluate.evaluation import evaluation_of
from tests.evaluate.toys import QUICK, column, rescored
from tests.toys.scores import restamped


def test_levels_are_judged_row_by_row(scores, found):
    rows = {row["criterion"]: row for row in found.metrics["levels"]["mvp"]["rows"]}
    recall = rows["Tier-A recall at p = 0.5"]
    assert recall["limit"] == ">= 0.75"
    assert recall["verdict"] == "not told"
    assert recall["why"].startswith("no interval")
    assert rows["Tier-A AUC"]["verdict"] == "not told"
    assert rows["Excess ECE, bins of equal width"]["verdict"] == "reached"
    assert rows["AUC of val minus AUC of test"]["verdict"] == ""
    assert found.metrics["levels"]["mvp"]["verdict"] == "not told"
    bad = evaluation_of(rescored(scores, scores["label"].to_numpy() == 1, -6.0), QUICK)
    assert bad.metrics["levels"]["mvp"]["verdict"] == "missed"


def test_a_figure_without_meaning_is_none_and_reaches_no_level(scores):
    lone = scores.filter(pa.array((column(scores, "split") != "test") | (column(scores, "tier") != "A")))
    found = evaluation_of(restamped(lone), QUICK)
    assert found.metrics["headline"]["tier_a_recall"]["value"] is None
    assert found.metrics["headline"]["tier_a_auc"]["value"] is None
    assert found.metrics["levels"]["mvp"]["verdict"] == "not told"


def figure(low, high, value=None):
    value = value if value is not None or low is None else (low + high) / 2
    return {"value": value, "low": low, "high": high, "n": 90, "few": False, "why": "", "text": ""}


GOOD = {
    "tier_a_recall": figure(0.86, 0.95),
    "tier_a_auc": figure(0.95, 0.99),
    "contaminant_fpr": figure(0.01, 0.05),
    "ece_equal_width": {**figure(None, None, 0.3), "excess": figure(0.0, 0.05)},
    "ece_equal_mass": {**figure(None, None, 0.3), "excess": figure(0.0, 0.05)},
    "ece_positive": {**figure(None, None, 0.3), "excess": figure(0.0, 0.05)},
    "nan_scores": 0,
    "collapsed": False,
    "val_auc": figure(0.9, 0.99),
    "test_auc": figure(0.9, 0.99),
}


@pytest.mark.parametrize(
    ("changes", "mvp", "publication"),
    [
        ({}, "reached", "reached"),
        ({"tier_a_recall": figure(0.80, 0.95)}, "reached", "not told"),
        ({"tier_a_recall": figure(0.78, 0.84)}, "reached", "missed"),
        ({"tier_a_recall": figure(0.60, 0.74)}, "missed", "missed"),
        ({"contaminant_fpr": figure(0.05, 0.2)}, "not told", "reached"),
        ({"contaminant_fpr": figure(None, None, 0.01)}, "not told", "reached"),
        ({"contaminant_fpr": {**figure(None, None, 0.3), "low": 0.2}}, "missed", "reached"),
        ({"ece_positive": {**figure(None, None, 0.3), "excess": figure(0.11, 0.3)}}, "missed", "reached"),
        ({"ece_positive": {**figure(None, None, 0.3), "excess": figure(0.0, 0.3)}}, "not told", "reached"),
        ({"collapsed": True}, "missed", "missed"),
        ({"nan_scores": 1}, "missed", "missed"),
        ({"tier_a_auc": figure(0.5, 0.6), "contaminant_fpr": figure(0.05, 0.2)}, "missed", "reached"),
    ],
)
def test_a_level_is_reached_missed_or_not_told(changes, mvp, publication):
    """`mvp reached` stood above intervals that held both the limit and the opposite."""
    levels = verdict.verdicts({**GOOD, **changes})
    assert {name: judged["verdict"] for name, judged in levels.items()} == {"mvp": mvp, "publication": publication}
