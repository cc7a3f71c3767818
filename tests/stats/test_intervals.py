"""Intervals: Wilson against scipy, DeLong against its definition, the bootstrap against a plain loop."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, poisson

from lensctl.stats import intervals, metrics
from lensctl.stats.intervals import Estimate, Resampling, delong, delong_difference, percentile_interval, wilson

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-3, 3).map(float), st.integers(0, 5)), min_size=2, max_size=40)
BOTH = ROWS.filter(lambda rows: len({row[0] for row in rows}) == 2)


def columns(rows):
    label, score, pixel = (np.array(column) for column in zip(*rows, strict=True))
    return label.astype(bool), score, pixel


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts):
    events, n = counts
    theirs = binomtest(events, n).proportion_ci(method="wilson")
    ours = wilson(events, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.low <= ours.value <= ours.high


def test_nothing_counted_has_no_share():
    assert wilson(0, 0) == Estimate(None)


@pytest.mark.parametrize(("events", "few"), [(9, True), (10, False)])
def test_a_figure_of_fewer_than_ten_events_is_marked(events, few):
    assert wilson(events, 1000).as_dict()["few"] is few


@given(BOTH)
def test_delong_is_the_variance_of_its_definition(rows):
    label, score, _ = columns(rows)
    ours = delong(label, score)
    assert ours.value == pytest.approx(metrics.roc_auc(label, score), abs=1e-12)
    lenses, others = score[label], score[~label]
    wins = (lenses[:, None] > others[None, :]) + 0.5 * (lenses[:, None] == others[None, :])
    if min(len(lenses), len(others)) < 2 or ours.value in (0.0, 1.0):
        return
    variance = wins.mean(axis=1).var(ddof=1) / len(lenses) + wins.mean(axis=0).var(ddof=1) / len(others)
    if variance < 1e-12:
        return
    width = np.log(ours.high / (1 - ours.high)) - np.log(ours.low / (1 - ours.low))
    expected = 2 * 1.959963984540054 * np.sqrt(variance) / (ours.value * (1 - ours.value))
    assert width == pytest.approx(expected, rel=1e-5)


def test_delong_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(1)
    truth = 0.9213503964748575  # Phi(2 / sqrt(2)): the AUC of two unit normals two sigma apart
    label = np.arange(260) < 60
    held = 0
    for _ in range(400):
        interval = delong(label, random.normal(size=260) + 2 * label)
        held += interval.low <= truth <= interval.high
    assert binomtest(held, 400).proportion_ci(0.999).low <= 0.95 <= binomtest(held, 400).proportion_ci(0.999).high


def test_delong_of_classes_without_overlap_is_not_sure_of_itself():
    perfect = delong([0] * 50 + [1] * 8, np.arange(58.0))
    assert perfect.value == 1.0
    assert perfect.high == 1.0
    assert perfect.low == pytest.approx(wilson(8, 8).low)
    assert perfect.few


@pytest.mark.parametrize("label", [[1, 1], [0, 0]])
def test_delong_of_one_class_has_no_value(label):
    assert delong(label, [0.0, 1.0]).value is None


def multiplicities(resampling):
    return np.concatenate([times for _, times in resampling.blocks()])


@settings(max_examples=25)
@given(BOTH)
def test_bootstrap_is_rows_repeated_as_often_as_their_pixel_was_drawn(rows):
    label, score, pixel = columns(rows)
    resampling = Resampling(pixel, rounds=30, seed=5)
    fprs = (0.0, 0.2, 1.0)
    auc, recall, before = resampling.ranking(label, score, fprs, (1, 3))
    total = resampling.sums(np.stack([score, label], axis=1))
    for number, drawn in enumerate(multiplicities(resampling)):
        times = drawn[resampling.cluster]
        again, scores = np.repeat(label, times), np.repeat(score, times)
        assert total[number] == pytest.approx([scores.sum(), again.sum()])
        slow = metrics.roc_auc(again, scores) if len(again) else None
        if slow is None:
            assert np.isnan(auc[number])
            assert np.isnan([*recall[number], *before[number]]).all()
            continue
        assert auc[number] == pytest.approx(slow, abs=1e-12)
        points = metrics.curve(again, scores)
        assert recall[number] == pytest.approx([metrics.point_at_fpr(points, fpr).recall for fpr in fprs])
        slow = [metrics.point_before_false_positive(points, count).recall for count in (1, 3)]
        assert before[number] == pytest.approx(slow)


@given(BOTH, st.integers(0, 9))
def test_paired_delong_is_the_variance_of_its_definition(rows, seed):
    label, score, _ = columns(rows)
    other = np.random.default_rng(seed).integers(-3, 3, len(score)).astype(float)
    ours = delong_difference(label, score, other)
    assert ours.value == pytest.approx(metrics.roc_auc(label, score) - metrics.roc_auc(label, other), abs=1e-12)
    wins = [np.sign(s[label][:, None] - s[~label][None, :]) / 2 + 0.5 for s in (score, other)]
    difference = wins[0] - wins[1]
    if min(difference.shape) < 2:
        assert ours.low is None
        return
    variance = sum(difference.mean(axis=axis).var(ddof=1) / difference.shape[1 - axis] for axis in (0, 1))
    assert ours.high - ours.low == pytest.approx(2 * 1.959963984540054 * np.sqrt(variance), abs=1e-9)


def test_paired_delong_covers_a_true_difference_as_often_as_it_says_and_is_narrower_than_two_apart():
    random = np.random.default_rng(2)
    label = np.arange(300) < 80
    truth = NormalDist().cdf(2 / np.sqrt(2 * 1.25)) - NormalDist().cdf(1 / np.sqrt(2 * 1.25))
    held = 0
    for _ in range(400):
        shared = random.normal(size=300)
        good, weak = (shift * label + shared + 0.5 * random.normal(size=300) for shift in (2, 1))
        paired = delong_difference(label, good, weak)
        held += paired.low <= truth <= paired.high
    assert binomtest(held, 400).proportion_ci(0.999).low <= 0.95 <= binomtest(held, 400).proportion_ci(0.999).high
    apart = [delong(label, score) for score in (good, weak)]
    assert paired.high - paired.low < 0.7 * np.hypot(*(one.high - one.low for one in apart))


def test_scores_that_rank_alike_differ_by_nothing():
    score = np.array([1.0, 4.0, 2.0, 3.0, 0.0])
    alike = delong_difference([0, 1, 0, 1, 1], score, np.exp(score))
    assert (alike.value, alike.low, alike.high) == (0, 0, 0)
    assert delong_difference([1, 1], [0.0, 1.0], [1.0, 0.0]).value is None


def test_multiplicities_are_poisson_and_independent_between_rounds_and_pixels():
    times = multiplicities(Resampling(np.arange(400), rounds=500)).astype(float)
    share = np.bincount(times.astype(int).ravel(), minlength=8)[:8] / times.size
    np.testing.assert_allclose(share, poisson.pmf(np.arange(8), 1), atol=3e-3)
    assert abs(np.corrcoef(times[:, 0], times[:, 1])[0, 1]) < 0.2
    assert np.var(times.mean(axis=0)) == pytest.approx(1 / 500, rel=0.4)
    assert np.var(times.mean(axis=1)) == pytest.approx(1 / 400, rel=0.4)


def test_a_pixel_is_drawn_alike_whatever_else_is_in_the_table():
    whole = Resampling([3, 9, 11], rounds=50)
    part = Resampling([11, 3, 3], rounds=50)
    np.testing.assert_array_equal(multiplicities(whole)[:, [0, 2]], multiplicities(part))
    assert (multiplicities(whole) != multiplicities(Resampling([3, 9, 11], rounds=50, seed=43))).any()


def test_order_of_rows_does_not_matter():
    random = np.random.default_rng(3)
    label, score, pixel = random.random(300) < 0.2, random.normal(size=300), random.integers(0, 40, 300)
    order = random.permutation(300)
    straight = Resampling(pixel, rounds=20).ranking(label, score, (0.1,))
    shuffled = Resampling(pixel[order], rounds=20).ranking(label[order], score[order], (0.1,))
    np.testing.assert_array_equal(straight[0], shuffled[0])
    np.testing.assert_array_equal(straight[1], shuffled[1])


def test_rows_that_share_their_sky_widen_the_interval():
    random = np.random.default_rng(4)
    pixel = np.repeat(np.arange(60), 20)
    label = np.tile(np.arange(20) < 4, 60)
    score = label + 2 * random.normal(size=60)[pixel] * label + 0.5 * random.normal(size=1200)
    by_pixel, *_ = Resampling(pixel, rounds=400).ranking(label, score)
    by_row, *_ = Resampling(np.arange(1200), rounds=400).ranking(label, score)
    assert by_pixel.std() > 1.5 * by_row.std()
    assert by_row.std() == pytest.approx(_delong_sigma(label, score), rel=0.15)


def _delong_sigma(label, score):
    wins = np.sign(score[label][:, None] - score[~label][None, :]) / 2 + 0.5
    return np.sqrt(wins.mean(axis=1).var(ddof=1) / label.sum() + wins.mean(axis=0).var(ddof=1) / (~label).sum())


def test_a_figure_that_often_has_no_value_has_no_interval():
    assert percentile_interval(np.full(100, np.nan)) == (None, None)
    assert percentile_interval(np.append(np.full(10, np.nan), np.ones(90))) == (None, None)
    assert percentile_interval(np.append(np.full(5, np.nan), np.linspace(0, 1, 95))) == pytest.approx((0.025, 0.975))


@settings(max_examples=40)
@given(
    st.integers(0, 2**31),
    st.integers(1, 30),
    st.integers(1, 400),
    st.lists(st.sampled_from([1e-5, 1e-3, 0.01, 0.1, 0.5]), min_size=1, max_size=4),
    st.booleans(),
)
def test_recall_at_low_rates_is_that_of_the_whole_ranking(seed, lenses, others, fprs, short):
    """Also where the highest-scored non-lenses do not suffice, and all are gone through."""
    random = np.random.default_rng(seed)
    label = random.permutation(np.arange(lenses + others) < lenses)
    score = random.integers(0, 40, lenses + others) / 4.0
    resampling = intervals.Resampling(random.integers(0, 25, lenses + others), 70, seed)
    with pytest.MonkeyPatch.context() as patch:
        if short:
            patch.setattr(intervals, "TOP_ROWS", 1)
            patch.setattr(intervals, "TOP_TIMES", 0.3)
        ours = resampling.recall_at(label, score, fprs)
    np.testing.assert_array_equal(ours, resampling.ranking(label, score, fprs)[1])
