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
    assert "not told; limit is inside the interval" in notes["tier-A recall at p = 0.5 (mvp)"]
    notes = {c.check: c.note for c in judge_evaluation(tmp_path, contaminant_fpr=figure(0.01, events=7))}
    assert "based on 7 events" in notes["contaminant FPR, worst category"]
    notes = {c.check: c.note for c in judge_evaluation(tmp_path, tier_a_recall=figure(0.95, n=21, events=20))}
    assert "based on 1 that are not" in notes["tier-A recall at p = 0.5 (mvp)"]


RECALL = "tier-A recall at p = 0.5 (mvp)"


@pytest.mark.parametrize(
    ("low", "value", "high", "word", "passed", "strictly"),
    [
        (0.76, 0.85, 0.95, "reached", True, True),
        (0.60, 0.80, 0.95, "not told", True, False),
        (0.60, 0.70, 0.95, "not told", False, False),
        (0.50, 0.60, 0.74, "missed", False, False),
        (None, 0.80, None, "not told", True, False),
        (None, 0.70, None, "not told", False, False),
    ],
)
def test_trained_passes_what_is_reached_fails_what_is_missed_and_says_what_is_not_told(
    tmp_path, low, value, high, word, passed, strictly
):
    recall = figure(value, low=low, high=high, why="" if low else "no interval: the rows lie in 4 HEALPix pixels")
    for given, expected in (((), passed), (("trained.strict=true",), strictly)):
        (check,) = [c for c in judge_evaluation(tmp_path, given, tier_a_recall=recall) if c.check == RECALL]
        assert check.passed is expected
        assert check.as_dict().get("told", True) is (word != "not told")
        assert word in check.note
        assert ("no interval: the rows lie in 4 HEALPix pixels" in check.note) is (low is None)


@pytest.mark.parametrize(("excess", "passed"), [(0.02, True), (0.3, False)])
def test_trained_judges_the_excess_of_a_calibration_error_over_its_floor(tmp_path, excess, passed):
    own = figure(excess, low=max(0.0, excess - 0.05), high=excess + 0.05)
    error = {**figure(0.2 + excess), "floor": {"median": 0.2, "p95": 0.25}, "excess": own}
    checks = {check.check: check for check in judge_evaluation(tmp_path, ece_positive=error)}
    check = checks["excess ECE where the lenses are"]
    assert (check.passed, check.value) == (passed, excess)
    assert "floor 0.2000 (95th percentile 0.2500)" in check.note


def test_trained_says_what_is_known_where_nothing_was_counted(tmp_path):
    none = figure(0.0, low=0.0, high=0.02, n=501, events=0, text="0 of 501: below 0.0060 at 95 %")
    checks = {check.check: check.note for check in judge_evaluation(tmp_path, contaminant_fpr=none)}
    assert "0 of 501: below 0.0060 at 95 %" in checks["contaminant FPR, worst category"]


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
