"""The trained gate holds an evaluation to its level, and takes no missing or NaN figure for a good one."""

from __future__ import annotations

import math

import pytest

from lensctl.io.provenance import digests
from lensctl.rules.errors import InputError
from tests.toys.judging import failed, figure, judge, judge_evaluation


def test_trained_passes_mvp(tmp_path):
    checks = judge_evaluation(tmp_path)
    assert failed(checks) == []
    assert {check.input_digest for check in checks} == {digests.of_file(tmp_path / "metrics.json")}


@pytest.mark.parametrize(
    "changes",
    [
        {"tier_a_recall": figure(0.74)},
        {"tier_a_recall": figure(None, n=0)},
        {"tier_a_recall": figure(math.nan)},
        {"tier_a_auc": figure(0.89)},
        {"contaminant_fpr": figure(0.11, worst_category="ring_proxy")},
        {"ece_equal_width": 0.11},
        {"ece_equal_mass": 0.11},
        {"ece_positive": figure(0.11)},
        {"ece_positive": figure(None)},
        {"nan_scores": 1},
        {"collapsed": True},
    ],
)
def test_trained_catches(tmp_path, changes):
    assert failed(judge_evaluation(tmp_path, **changes))


def test_trained_judges_recall_alone_at_level_publication(tmp_path):
    poor = {"tier_a_auc": figure(0.5), "ece_equal_width": 0.5}
    publication = ("trained.level=publication",)
    assert failed(judge_evaluation(tmp_path, publication, **poor)) == []
    assert failed(judge_evaluation(tmp_path, publication, tier_a_recall=figure(0.84)))
    assert failed(judge_evaluation(tmp_path, (*publication, "trained.min_auc=0.9"), **poor)) == ["tier-A AUC"]


def test_trained_says_whether_the_limit_lies_inside_the_interval_and_how_few_events_decide(tmp_path):
    notes = {
        check.check: check.note for check in judge_evaluation(tmp_path, tier_a_recall=figure(0.8, low=0.6, high=0.9))
    }
    assert "limit is inside the interval" in notes["tier-A recall at p = 0.5 (mvp)"]
    notes = {c.check: c.note for c in judge_evaluation(tmp_path, contaminant_fpr=figure(0.01, events=7))}
    assert "based on 7 events" in notes["contaminant FPR, worst category"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no metrics.json in this folder"),
        ("{}", "no headline metrics"),
        ("[]", "no headline metrics"),
        ('{"headline": {}}', "headline metric '"),
        ('{"headline": {"nan_scores": 0}}', "headline metric '"),
    ],
)
def test_trained_needs_an_evaluation(tmp_path, text, why):
    if text:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(InputError, match=why):
        judge("trained", tmp_path)
