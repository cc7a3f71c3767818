"""Calibration and its errors: of the repeated rows, better after than before, none where a class is missing."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate import calibrating, scored
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.report import plots
from lensctl.evaluate.scored import Scored
from lensctl.rules.survey import LS_DR10
from lensctl.stats import calibration
from lensctl.stats.calibration import logistic
from lensctl.stats.calibration_floor import floors
from lensctl.stats.intervals import Resampling
from tests.evaluate.toys import QUICK, column, rescored
from tests.toys.scores import restamped


def test_one_class_in_val_gives_no_calibration_and_one_in_test_no_ece(scores):
    split, label = column(scores, "split"), scores["label"].to_numpy()
    found = evaluation_of(restamped(scores.filter(pa.array((split != "val") | (label == 0)))), QUICK)
    assert found.metrics["calibration"]["slope"] is None
    names = [point["name"] for point in found.metrics["thresholds"]["points"]]
    assert names == ["p=0.5", "fpr=0.01", "fpr=0.001", "fpr=0.0001", "above all non-lenses"]
    found = evaluation_of(restamped(scores.filter(pa.array((split != "test") | (label == 0)))), QUICK)
    assert found.metrics["headline"]["ece_equal_width"]["value"] is None
    assert found.metrics["headline"]["test_auc"]["value"] is None
    json.dumps(found.metrics, allow_nan=False)
    for name in plots.PLOTS:
        plots.draw(name, found)


def test_calibration_errors_of_each_round_are_those_of_the_repeated_rows(scores):
    test = scored.read_scores(scores).of("test")
    p = calibration.logistic(test.logit - 2)  # far from calibrated, so that a test excludes zero
    samples = []
    resampling = Resampling(test.pixel, 20, 42)
    times = np.concatenate([block for _, block in resampling.blocks()])[:, resampling.cluster]
    for drawn in times:
        rows = np.repeat(np.arange(len(test)), drawn)
        samples.append(calibration.ece_positive(test.is_lens[rows], p[rows]))
    low, high = np.quantile(samples, [0.025, 0.975])
    found = calibrating.errors(test, p, 20, 42)["positive"]
    floor = floors(p, None, test.is_lens, 42)["positive"]
    assert found.floor == floor
    assert found.value > floor.p95
    assert found.excess.value == pytest.approx(found.value - floor.median)
    ends = min(found.excess.value, 2 * found.value - high), max(found.excess.value, 2 * found.value - low, high)
    assert (found.excess.low, found.excess.high) == pytest.approx(ends)
    assert (found.as_dict()["low"], found.as_dict()["high"]) == (None, None)


def part_of(random, n, twist):
    """Test rows whose lenses are drawn from probabilities, and the probabilities that a model states of them."""
    lens_like = random.random(n) < 0.1
    logit = np.where(lens_like, random.normal(1.5, 1.5, n), random.normal(-4, 1.5, n))
    label = random.random(n) < logistic(twist(logit))
    tier = np.where(label, "A", "N1").astype(object)
    table = pa.table({"galaxy_id": [f"g{i}" for i in range(n)]})
    split, pixel = np.full(n, "test", object), random.integers(0, n // 14, n)
    return Scored(table, np.arange(n), label, logit, logistic(logit), split, tier, pixel, np.ones(n), {}, LS_DR10)


TWISTS = {"none": lambda logit: logit, "hot": lambda logit: logit - 1, "flat": lambda logit: 0.6 * logit - 0.5}


@pytest.mark.parametrize("twist", TWISTS)
@pytest.mark.parametrize("seeds", [40, pytest.param(400, marks=pytest.mark.soak)])
def test_the_excess_of_a_calibrated_model_includes_zero_and_that_of_another_its_true_error(twist, seeds):
    """The interval of an ECE held the truth of a calibrated model in none of 200 seeds."""
    large = part_of(np.random.default_rng(99), 400_000, TWISTS[twist])
    bins = {"equal_width": "width", "equal_mass": "mass"}
    truth = {name: calibration.ece(large.is_lens, large.p, by=by) for name, by in bins.items()}
    truth["positive"] = calibration.ece_positive(large.is_lens, large.p)
    truth = dict.fromkeys(truth, 0.0) if twist == "none" else truth
    held = dict.fromkeys(truth, 0)
    for seed in range(seeds):
        part = part_of(np.random.default_rng(seed), 563, TWISTS[twist])
        for name, error in calibrating.errors(part, part.p, 200, 42).items():
            held[name] += error.excess.low <= truth[name] <= error.excess.high
    for count in held.values():
        assert count / seeds >= 0.9 - 1.2 * np.sqrt(0.09 / seeds)


def test_below_ten_pixels_the_excess_has_no_interval(scores):
    test = scored.read_scores(scores).of("test")
    few = dataclasses.replace(test, pixel=np.arange(len(test)) % 9)
    found = calibrating.errors(few, few.p, 20, 42)["equal_width"]
    assert found.excess.value is not None
    assert (found.excess.low, found.excess.why[:11]) == (None, "no interval")


def test_calibration_helps_where_the_scores_are_off(scores):
    off = rescored(scores, np.full(len(scores), True), 2.0)
    found = evaluation_of(off, QUICK).metrics["calibration"]
    assert found["test_after"]["equal_width"]["value"] < 0.5 * found["test_before"]["equal_width"]["value"]
    assert evaluation_of(off, Choices(rounds=100, calibration="temperature")).metrics["calibration"]["bias"] == 0
