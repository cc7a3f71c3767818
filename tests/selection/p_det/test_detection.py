"""p_det as fitted: its form, what it refuses, and that it stays the same."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.selection.p_det import detection, standalone
from lensctl.selection.p_det.axes import observable_axes, physical_axes
from tests.toys import known_detection

AXES = physical_axes(LS_DR10)


@pytest.fixture(scope="module")
def made():
    return known_detection.injections(1, hosts=1500, pixels=150)


@pytest.fixture(scope="module")
def fitted(made):
    return detection.fit_detection(AXES, made.values, made.detected, made.pixel, rounds=200)


def test_predictions_are_ordered_probabilities(made, fitted):
    found = fitted.detection.predict(made.values)
    assert found.p.shape == found.inside.shape == made.p.shape
    assert ((found.low > 0) & (found.low < found.p) & (found.p < found.high) & (found.high < 1)).all()
    assert found.inside.mean() > 0.97
    assert found.p.mean() == pytest.approx(made.detected.mean(), abs=0.005)


def test_the_interval_of_one_row_is_that_of_the_draws(made, fitted):
    from lensctl.selection.p_det.axes import transformed
    from lensctl.stats.fits import penalised_logistic as regression

    kept = fitted.detection
    design = kept.functions.matrix(transformed(AXES, made.rows(slice(0, 200))))
    drawn = np.array([regression.probability(design, one) for one in fitted.draws])
    found = kept.predict(made.rows(slice(0, 200)))
    spread = np.log(drawn / (1 - drawn)).std(axis=0)
    told = (np.log(found.high / (1 - found.high)) - np.log(found.low / (1 - found.low))) / 2 / kept.reach
    assert np.median(told / spread) == pytest.approx(1, abs=0.1)
    assert fitted.draws.shape == (200, 115)
    np.testing.assert_allclose(kept.covariance, np.cov(fitted.draws.T))


def test_the_mean_is_that_of_the_rows_and_its_interval_is_narrower(made, fitted):
    weight = np.arange(len(made.p), dtype=float)
    mean, found = fitted.detection.mean(made.values, weight), fitted.detection.predict(made.values)
    assert mean.value == pytest.approx(np.average(found.p, weights=weight))
    assert 0 < mean.high - mean.low < np.average(found.high - found.low, weights=weight) / 2
    assert fitted.detection.mean(made.values).value == pytest.approx(found.p.mean())


def test_the_error_of_a_share_of_found_lenses_is_that_of_the_draws(made, fitted):
    from lensctl.selection.p_det.axes import transformed
    from lensctl.stats.fits import penalised_logistic as regression

    kept, weight = fitted.detection, np.linspace(1.0, 3.0, len(made.p))
    place = np.digitize(made.values["theta_e"], [0.8, 1.2, 2.0])
    design = kept.functions.matrix(transformed(AXES, made.values))
    shares = []
    for one in fitted.draws:
        found = np.bincount(place, weight * regression.probability(design, one))
        shares.append(found / found.sum())
    told = kept.share_errors(made.values, weight, place) / kept.reach
    assert told == pytest.approx(np.std(shares, axis=0), rel=0.15)


def test_the_same_rows_give_the_same_bytes_and_another_seed_only_other_draws(made, fitted):
    again = detection.fit_detection(AXES, made.values, made.detected, made.pixel, rounds=200)
    assert again.detection.as_dict() == fitted.detection.as_dict()
    other = detection.fit_detection(AXES, made.values, made.detected, made.pixel, rounds=200, seed=7)
    np.testing.assert_array_equal(other.detection.coefficients, fitted.detection.coefficients)
    assert (other.draws != fitted.draws).any()


def test_facts_say_what_it_rests_on(made, fitted):
    facts = fitted.detection.facts
    assert (facts["rows"], facts["detected"], facts["pixels"]) == (7500, int(made.detected.sum()), 150)
    assert facts["coefficients"] == 115
    assert 30 < facts["effective_coefficients"] < 100
    assert facts["ceiling"] == pytest.approx(known_detection.CEILING, abs=0.06)
    assert set(facts["strengths"]) == {"axes", "fine axes", "pairs"}
    assert 0.8 < facts["design_effect"] < 2


def test_it_is_the_same_from_its_plain_values(made, fitted):
    kept = fitted.detection
    again = detection.of_dict(json.loads(json.dumps(kept.as_dict())), "a folder")
    rows = made.rows(slice(0, 100))
    for one, other in zip(vars(kept.predict(rows)).values(), vars(again.predict(rows)).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.facts == kept.facts


def spoiled(values, name, change):
    if isinstance(values[name], dict) and "base64" in values[name]:
        return values | {name: detection.encoded(change(standalone.decoded(values[name]).copy()))}
    return values | {name: change(values[name])}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("coefficients", lambda a: a[:-2]),
        ("coefficients", lambda a: a * np.nan),
        ("covariance", lambda a: a[:-1]),
        ("axes", lambda a: a[:-1]),
        ("axes", lambda a: [*a[:-1], {"name": 3}]),
        ("pairs", lambda a: a[:-1]),
        ("pairs", lambda a: [[0, 99]]),
        ("knots", lambda a: a[::-1]),
        ("knots", lambda a: [dict(own, **detection.encoded(standalone.decoded(own)[::-1])) for own in a]),
        ("fine", lambda a: a[:-1]),
        ("ceiling_mean", lambda a: 3.0),
        ("reach", lambda a: "wide"),
        ("support", lambda a: {**a, "scale": detection.encoded(np.zeros(11))}),
        ("support", lambda a: {**a, "points": {"dtype": "<f4", "shape": [10**9, 11], "base64": ""}}),
        ("support", lambda a: {}),
    ],
)
def test_values_that_are_none_of_its_own_are_refused(fitted, name, change):
    with pytest.raises(InputError, match="a folder: not as lensctl wrote it"):
        detection.of_dict(spoiled(fitted.detection.as_dict(), name, change), "a folder")


def test_it_depends_on_the_order_of_rows_by_rounding_alone(made, fitted):
    order = np.random.default_rng(0).permutation(len(made.p))
    other = detection.fit_detection(AXES, made.rows(order), made.detected[order], made.pixel[order], rounds=200)
    rows = made.rows(slice(0, 300))
    one, two = fitted.detection.predict(rows), other.detection.predict(rows)
    np.testing.assert_allclose(one.p, two.p, atol=1e-4)
    np.testing.assert_allclose(one.high, two.high, atol=1e-3)


def test_other_axes_are_fitted_alike():
    random = np.random.default_rng(0)
    axes = observable_axes(LS_DR10)
    values = {axis.name: random.lognormal(size=2000) for axis in axes}
    detected = random.uniform(size=2000) < values["obs_snr_g"] / (1 + values["obs_snr_g"])
    found = detection.fit_detection(axes, values, detected, np.arange(2000) // 5, rounds=100).detection
    p = found.predict(values).p
    assert np.corrcoef(p, values["obs_snr_g"] / (1 + values["obs_snr_g"]))[0, 1] > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"detected": lambda d: d & (np.cumsum(d) < 10)}, "9 of 7500 injections were detected, too few for p_det"),
        ({"detected": lambda d: d | (np.cumsum(~d) > 8)}, "8 of 7500 injections were missed, too few for p_det"),
        ({"pixel": lambda p: p % 9}, "the hosts lie in 9 HEALPix pixels, and fewer than 10 do not show their scatter"),
    ],
)
def test_too_little_is_refused(made, change, message):
    spoiled = dataclasses.replace(made, **{name: how(getattr(made, name)) for name, how in change.items()})
    with pytest.raises(InputError, match=message):
        detection.fit_detection(AXES, spoiled.values, spoiled.detected, spoiled.pixel)
