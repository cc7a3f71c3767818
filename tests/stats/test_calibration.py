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
    lenses, others, one = weight[label].sum(), weight[~label].sum(), weight[label].mean()
    target = np.where(label, (lenses + one) / (lenses + 2 * one), one / (others + 2 * one))
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


def on_the_sky(seed, prevalence, mean_weight, lenses=50, ratio=100):
    """Expected over true number of lenses, and the slope that is left, of a calibration by 50 weighted lenses."""
    random = np.random.default_rng(seed)
    label = np.arange(lenses * (1 + ratio)) < lenses
    logit = np.where(label, 1.5, -2.5) + 1.4 * random.normal(size=len(label))
    weight = np.where(label, 1.0, mean_weight)
    platt = fit_platt(label, logit, weight).moved(weight[label].sum() / weight.sum(), prevalence)
    of_sky = np.arange(60_000) < 10_000
    sky = np.where(of_sky, 1.5, -2.5) + 1.4 * random.normal(size=60_000)
    share = np.where(of_sky, prevalence / 10_000, (1 - prevalence) / 50_000)
    return (share * platt.p(sky)).sum() / prevalence, fit_platt(of_sky, platt.logit(sky), share).slope


@pytest.mark.parametrize("prevalence", [1e-3, 1e-4])
@pytest.mark.parametrize("mean_weight", [1, 40, 400])
@pytest.mark.parametrize("seeds", [40, pytest.param(400, marks=pytest.mark.soak)])
def test_a_calibration_for_the_sky_expects_as_many_lenses_as_there_are(prevalence, mean_weight, seeds):
    """Targets smoothed by counts of rows made 1.8 lenses of each at weight 40, and 8.9 at 400."""
    found = np.array([on_the_sky(seed, prevalence, mean_weight) for seed in range(seeds)])
    expected, slope = np.median(found, axis=0)  # few lenses scatter, and to one side
    assert 0.85 < expected < 1.2
    assert 0.85 < slope < 1.15


@pytest.mark.parametrize("scale", [1e-3, 40.0])
def test_a_scaling_does_not_know_the_scale_of_the_weights(scale):
    label, logit = toy(800)
    weight = np.random.default_rng(1).uniform(0.5, 20, 800)
    for fitter in (fit_platt, fit_temperature):
        once, again = fitter(label, logit, weight), fitter(label, logit, scale * weight)
        assert (again.slope, again.bias) == pytest.approx((once.slope, once.bias), rel=1e-6, abs=1e-9)
