"""Scores changed for a test, and the folder of an evaluation."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lensctl.evaluate.evaluation import Choices
from lensctl.evaluate.report import folder
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, extend, stamp, step_input
from lensctl.stats.calibration import logistic
from tests.toys.manifests import changed, toy_manifest
from tests.toys.scores import toy_pixels

QUICK = Choices(rounds=100, top=20)


def rescored(table, mask, shift):
    """The scores with the logits of some rows moved."""
    logit = table["logit"].to_numpy() + np.where(mask, shift, 0.0)
    table = changed(table, "logit", logit)
    return changed(table, "p", logistic(logit))


def scores_of(survey, positives=400, negatives=2000):
    """Scores of a manifest of a survey, of a model that is good but not perfect."""
    manifest = toy_manifest(positives, negatives, survey=survey)
    logit = 4.0 * manifest["label"].to_numpy() - 3.0 + 1.4 * np.random.default_rng(100).normal(size=len(manifest))
    scores = manifest.append_column("logit", pa.array(logit)).append_column("p", pa.array(logistic(logit)))
    chain = chain_of(manifest)
    source = step_input("manifest", "manifest.parquet", digests.of_table(manifest), chain)
    return stamp(scores, extend(Step("score", {}, (source,), survey=survey), chain))


def column(table, name):
    return np.array(table[name].to_pylist(), dtype=object)


def write(tmp_path, evaluation, name="out"):
    out = tmp_path / name
    out.mkdir()
    folder.write(evaluation, out, toy_pixels)
    return out
