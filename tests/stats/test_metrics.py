"""Ranking metrics, against scikit-learn and against loops over every distinct score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from lensctl.stats import metrics

ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(-4, 4).map(float), st.integers(1, 9).map(float)), min_size=2, max_size=60
)
BOTH = ROWS.filter(lambda rows: len({row[0] for row in rows}) == 2)


def columns(rows):
    label, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    return label.astype(bool), score, weight


def every_threshold(label, score, weight):
    """(threshold, weight of lenses taken, weight of others taken), the slow obvious way; first one takes nothing."""
    yield math.inf, 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        taken = score >= threshold
        yield threshold, weight[taken & label].sum(), weight[taken & ~label].sum()


@given(BOTH)
def test_auc_is_scikit_learns(rows):
    label, score, weight = columns(rows)
    assert metrics.roc_auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert metrics.roc_auc(label, score, weight) == pytest.approx(
        roc_auc_score(label, score, sample_weight=weight), abs=1e-12
    )


@given(BOTH)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows):
    label, score, weight = columns(rows)
    pairs = [
        (wp * wn, (p > n) + (p == n) / 2)
        for p, wp in zip(score[label], weight[label], strict=True)
        for n, wn in zip(score[~label], weight[~label], strict=True)
    ]
    slow = sum(w * right for w, right in pairs) / sum(w for w, _ in pairs)
    assert metrics.roc_auc(label, score, weight) == pytest.approx(slow, abs=1e-12)


@given(BOTH)
def test_curve_is_scikit_learns(rows):
    label, score, weight = columns(rows)
    fpr, tpr, threshold = roc_curve(label, score, sample_weight=weight, drop_intermediate=False)
    ours = metrics.curve(label, score, weight)
    np.testing.assert_allclose(ours.threshold, threshold[1:])
    np.testing.assert_allclose(ours.fpr, fpr[1:], atol=1e-12)
    np.testing.assert_allclose(ours.recall, tpr[1:], atol=1e-12)


@given(BOTH, st.sampled_from([0.0, 1e-3, 1e-2, 0.1, 0.25, 0.5, 1.0]))
def test_recall_at_a_false_positive_rate_is_the_best_of_all_thresholds(rows, target):
    label, score, weight = columns(rows)
    points = metrics.curve(label, score, weight)
    point = metrics.point_at_fpr(points, target)
    allowed = [
        found for _, found, false in every_threshold(label, score, weight) if false / weight[~label].sum() <= target
    ]
    assert point.recall == pytest.approx(max(allowed) / weight[label].sum())
    taken = score >= point.threshold
    assert point.found == weight[taken & label].sum()
    assert point.false == weight[taken & ~label].sum()


@given(BOTH, st.sampled_from([1, 2, 10]))
def test_tpr0_and_tpr10_are_the_recall_before_that_many_false_positives(rows, count):
    label, score, _ = columns(rows)
    point = metrics.point_before_false_positive(metrics.curve(label, score), count)
    ones = np.ones(len(score))
    best = max(found for _, found, false in every_threshold(label, score, ones) if false < count)
    assert point.recall == pytest.approx(best / label.sum())


@given(BOTH, st.sampled_from([None, 1e-3, 0.5]), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_purity_against_completeness_is_the_best_of_all_thresholds(rows, prevalence, wanted):
    label, score, weight = columns(rows)
    points = metrics.curve(label, score, weight)
    lenses, others = weight[label].sum(), weight[~label].sum()
    slow = []
    for _, found, false in list(every_threshold(label, score, weight))[1:]:
        if prevalence is None:
            slow.append((found / lenses, found / (found + false)))
        else:
            good, bad = prevalence * found / lenses, (1 - prevalence) * false / others
            slow.append((found / lenses, good / (good + bad)))
    precision = max(purity for recall, purity in slow if recall >= wanted - 1e-12)
    recall = max([recall for recall, purity in slow if purity >= wanted - 1e-12], default=0.0)
    assert metrics.precision_at_recall(points, wanted, prevalence) == pytest.approx(precision)
    assert metrics.recall_at_precision(points, wanted, prevalence) == pytest.approx(recall)


@given(BOTH)
def test_prevalence_of_the_sample_itself_changes_nothing(rows):
    label, score, weight = columns(rows)
    points = metrics.curve(label, score, weight)
    itself = weight[label].sum() / weight.sum()
    np.testing.assert_allclose(points.purity(itself), points.purity())


@given(BOTH)
def test_a_weight_is_the_row_repeated(rows):
    label, score, weight = columns(rows)
    times = weight.astype(int)
    repeated = metrics.curve(np.repeat(label, times), np.repeat(score, times))
    once = metrics.curve(label, score, weight)
    np.testing.assert_array_equal(once.found, repeated.found)
    np.testing.assert_array_equal(once.false, repeated.false)


def test_a_rate_that_rounding_spoils_still_allows_its_count():
    label, score = np.array([1] + [0] * 100), np.append(-1.0, np.arange(100.0))
    assert metrics.point_at_fpr(metrics.curve(label, score), 0.29).false == 29


def test_no_threshold_is_loose_enough_where_the_top_is_a_tie():
    points = metrics.curve([1, 0], [2.0, 2.0])
    point = metrics.point_at_fpr(points, 0.1)
    assert (point.found, point.false) == (0, 0)
    assert point.threshold > 2.0


@pytest.mark.parametrize("label", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_has_no_figures(label):
    score = np.arange(float(len(label)))
    points = metrics.curve(label, score)
    assert metrics.roc_auc(label, score) is None
    assert metrics.point_at_fpr(points, 0.1) is None
    assert metrics.point_before_false_positive(points, 10) is None
    assert metrics.precision_at_recall(points, 0.9) is None
    assert metrics.recall_at_precision(points, 0.9) is None


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        metrics.curve([0, 1], [0.5, np.nan])
