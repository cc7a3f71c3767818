"""Calibration errors and scalings, against loops, scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from lensctl.stats import calibration
from lensctl.stats.calibration import ece, ece_positive, fit_platt, fit_temperature, logistic, reliability

BOTH = st.lists(
    st.tuples(st.booleans(), st.integers(0, 40).map(lambda k: k / 40), st.integers(1, 5).map(float)),
    min_size=2,
    max_size=60,
).filter(lambda rows: len({row[0] for row in rows}) == 2)


def columns(rows):
    label, p, weight = (np.array(column) for column in zip(*rows, strict=True))
    return label.astype(bool), p, weight


def toy(n=4000, slope=2.0, bias=-3.0, seed=0):
    random = np.random.default_rng(seed)
    logit = 2 * random.normal(size=n)
    return random.random(n) < logistic(slope * logit + bias), logit


@given(BOTH)
def test_reliability_is_scikit_learns(rows):
    label, p, _ = columns(rows)
    inside = np.minimum(p, 1 - 1e-9)  # scikit-learn gives an edge to the bin below it, we to the one above
    inside = np.where(np.isclose(inside * 10 % 1, 0), inside + 1e-9, inside)
    share, mean = calibration_curve(label, inside, n_bins=10)
    ours = reliability(label, inside)
    np.testing.assert_allclose(ours.observed, share)
    np.testing.assert_allclose(ours.mean_p, mean)


@given(BOTH, st.sampled_from(["width", "mass"]))
def test_errors_are_those_of_a_loop_over_the_bins(rows, by):
    label, p, weight = columns(rows)
    ordered = sorted(p)
    bins: dict[int, list[int]] = {}
    for i, value in enumerate(p):
        number = min(int(value * 10), 9) if by == "width" else ordered.index(value) * 10 // len(p)
        bins.setdefault(number, []).append(i)
    error = positive = 0.0
    for rows_of_bin in bins.values():
        w = weight[rows_of_bin]
        gap = abs((w * p[rows_of_bin]).sum() / w.sum() - (w * label[rows_of_bin]).sum() / w.sum())
        error += w.sum() * gap
        positive += (w * label[rows_of_bin]).sum() * gap
    assert ece(label, p, weight, by=by) == pytest.approx(error / weight.sum())
    if by == "width":
        assert ece_positive(label, p, weight) == pytest.approx(positive / (weight * label).sum())


@given(BOTH)
def test_bins_of_equal_mass_hold_equally_many_rows_and_never_part_a_tie(rows):
    _, p, _ = columns(rows)
    which = calibration.bin_of(p, 10, "mass")
    for value in set(p):
        assert len(set(which[p == value])) == 1
    distinct = calibration.bin_of(np.arange(100) / 100, 10, "mass")
    assert (np.bincount(distinct) == 10).all()


def test_error_where_the_lenses_are_sees_what_the_negatives_hide():
    label = np.array([1] * 10 + [0] * 990 + [0] * 10)
    p = np.array([0.95] * 10 + [0.001] * 990 + [0.95] * 10)
    assert ece(label, p) < 0.01
    assert ece_positive(label, p) == pytest.approx(0.45)


@pytest.mark.parametrize("label", [[1, 1, 1], [0, 0, 0]])
def test_one_class_has_no_calibration(label):
    p = [0.1, 0.5, 0.9]
    assert ece(label, p) is None
    assert ece(label, p, by="mass") is None
    assert ece_positive(label, p) is None
    assert fit_platt(label, p) is None
    assert fit_temperature(label, p) is None


def cross_entropy(slope, bias, label, logit, weight):
    lenses = label.sum()
    target = np.where(label, (lenses + 1) / (lenses + 2), 1 / ((~label).sum() + 2))
    eta = slope * logit + bias
    return (weight * (np.logaddexp(0, eta) - target * eta)).sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_scalings_are_scipys_optima(weighted):
    label, logit = toy(800)
    weight = np.random.default_rng(1).uniform(0.5, 20, 800) if weighted else np.ones(800)
    platt, temperature = fit_platt(label, logit, weight), fit_temperature(label, logit, weight)
    theirs = minimize(lambda t: cross_entropy(*t, label, logit, weight), [1.0, 0.0], method="BFGS", tol=1e-9)
    assert (platt.slope, platt.bias) == pytest.approx(theirs.x, rel=1e-4)
    alone = minimize(lambda t: cross_entropy(t[0], 0.0, label, logit, weight), [1.0], method="BFGS", tol=1e-9)
    assert temperature.slope == pytest.approx(alone.x[0], rel=1e-4)
    assert temperature.bias == 0


def test_platt_is_scikit_learns_where_there_are_many_rows():
    label, logit = toy(40_000)
    theirs = LogisticRegression(C=np.inf).fit(logit[:, None], label)
    ours = fit_platt(label, logit)
    assert (ours.slope, ours.bias) == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=5e-3)


def test_platt_mends_a_wrong_scale_and_offset():
    label, logit = toy(20_000, slope=0.4, bias=1.0)
    raw, mended = logistic(logit), fit_platt(label, logit).p(logit)
    assert ece(label, raw) > 0.1
    assert ece(label, mended) < 0.015
    assert fit_temperature(label, logit).slope < 0.6


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_classes_without_overlap_keep_a_finite_slope(scale):
    label = np.arange(100) >= 90
    logit = np.arange(100.0) - 50
    p = fit_platt(label, scale * logit).p(scale * logit)
    np.testing.assert_allclose(p, fit_platt(label, logit).p(logit), rtol=1e-6)
    assert p[0] < 1e-3
    assert 0.5 < p[-1] < 0.99


def test_a_constant_score_is_scaled_to_the_share_of_lenses():
    label = np.arange(200) < 20
    assert fit_platt(label, np.full(200, 3.0)).p(3.0) == pytest.approx(0.1, abs=0.02)


@given(st.floats(0.01, 0.99), st.floats(0.001, 0.99), st.floats(-5, 5))
def test_prior_correction_is_bayes_rule(prior, new_prior, logit):
    scaling = calibration.Scaling("platt", 1.3, -0.2)
    p = scaling.p(logit)
    lens, other = p / prior * new_prior, (1 - p) / (1 - prior) * (1 - new_prior)
    assert scaling.moved(prior, new_prior).p(logit) == pytest.approx(lens / (lens + other))


@given(st.floats(allow_nan=False))
def test_logistic_never_overflows(x):
    with np.errstate(over="raise", invalid="raise"):
        assert 0 <= float(logistic(x)) <= 1
