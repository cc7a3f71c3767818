"""Scores changed for a test, and the folder of an evaluation."""

from __future__ import annotations

import numpy as np

from lensctl.evaluate.evaluation import Choices
from lensctl.evaluate.report import folder
from lensctl.stats.calibration import logistic
from tests.toys.manifests import changed
from tests.toys.scores import toy_pixels

QUICK = Choices(rounds=100, top=20)


def rescored(table, mask, shift):
    """The scores with the logits of some rows moved."""
    logit = table["logit"].to_numpy() + np.where(mask, shift, 0.0)
    table = changed(table, "logit", logit)
    return changed(table, "p", logistic(logit))


def column(table, name):
    return np.array(table[name].to_pylist(), dtype=object)


def write(tmp_path, evaluation, name="out"):
    out = tmp_path / name
    out.mkdir()
    folder.write(evaluation, out, toy_pixels)
    return out
