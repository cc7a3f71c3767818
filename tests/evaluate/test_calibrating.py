"""Calibration and its errors: of the repeated rows, better after than before, none where a class is missing."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate import calibrating, scored
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.report import plots
from lensctl.stats import calibration
from lensctl.stats.intervals import Resampling
from tests.evaluate.toys import QUICK, column, rescored
from tests.toys.scores import restamped


def test_one_class_in_val_gives_no_calibration_and_one_in_test_no_ece(scores):
    split, label = column(scores, "split"), scores["label"].to_numpy()
    found = evaluation_of(restamped(scores.filter(pa.array((split != "val") | (label == 0)))), QUICK)
    assert found.metrics["calibration"]["slope"] is None
    assert len(found.metrics["thresholds"]["points"]) == 4
    found = evaluation_of(restamped(scores.filter(pa.array((split != "test") | (label == 0)))), QUICK)
    assert found.metrics["headline"]["ece_equal_width"]["value"] is None
    assert found.metrics["headline"]["test_auc"]["value"] is None
    json.dumps(found.metrics, allow_nan=False)
    for name in plots.PLOTS:
        plots.draw(name, found)


def test_calibration_errors_of_each_round_are_those_of_the_repeated_rows(scores):
    test = scored.read_scores(scores).of("test")
    samples = []
    resampling = Resampling(test.pixel, 20, 42)
    times = np.concatenate([block for _, block in resampling.blocks()])[:, resampling.cluster]
    for drawn in times:
        rows = np.repeat(np.arange(len(test)), drawn)
        samples.append(calibration.ece_positive(test.is_lens[rows], test.p[rows]))
    low, high = np.quantile(samples, [0.025, 0.975])
    found = calibrating.errors(test, test.p, 20, 42)["positive"]
    assert (found.low, found.high) == pytest.approx((min(low, found.value), max(high, found.value)))


def test_calibration_helps_where_the_scores_are_off(scores):
    off = rescored(scores, np.full(len(scores), True), 2.0)
    found = evaluation_of(off, QUICK).metrics["calibration"]
    assert found["test_after"]["equal_width"]["value"] < 0.5 * found["test_before"]["equal_width"]["value"]
    assert evaluation_of(off, Choices(rounds=100, calibration="temperature")).metrics["calibration"]["bias"] == 0
