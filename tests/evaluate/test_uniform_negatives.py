"""Recall at low rates on a uniform draw: against the slow obvious way, by the rule of events, an honest interval."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lensctl.evaluate import uniform_negatives
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.grades import read_grades
from lensctl.evaluate.uniform.rows import read_uniform
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from tests.evaluate.toys import QUICK, write
from tests.toys.scores import toy_scores
from tests.toys.uniform import CONFUSERS, uniform_scores

SCORES = toy_scores(400, 2000)
UNIFORM = uniform_scores(SCORES, 20_000)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uniform")
    write_table(UNIFORM, str(folder / "uniform.parquet"))
    return read_uniform(str(folder / "uniform.parquet"))


@pytest.fixture(scope="module")
def judged(given):
    return evaluation_of(SCORES, QUICK, negatives=given)


def the_slow_obvious_way(fpr):
    """Recall at the lowest threshold with at most this rate, over a loop of all thresholds."""
    test = np.array(SCORES["split"].to_pylist()) == "test"
    lens = SCORES["logit"].to_numpy()[test & (SCORES["label"].to_numpy() == 1)]
    other = UNIFORM["logit"].to_numpy()
    recalls = [
        (lens >= threshold).mean()
        for threshold in (*lens, *other, np.inf)
        if (other >= threshold).sum() <= fpr * len(other)
    ]
    return max(recalls)


@pytest.mark.parametrize(("k", "fpr"), [(0, 1e-2), (1, 1e-3), (2, 1e-4)])
def test_the_recall_is_that_of_the_slow_obvious_way(judged, k, fpr):
    row = judged.metrics["negatives"]["recall_at_fpr"][k]
    assert row["fpr"] == fpr
    assert row["uniform"]["value"] == pytest.approx(the_slow_obvious_way(fpr))
    assert row["uniform"]["low"] <= row["uniform"]["value"] <= row["uniform"]["high"]


def test_below_one_expected_event_there_is_a_bound_alone_up_to_ten_a_mark_and_above_none(judged):
    """20,000 rows: 200, 20, 2 and 0.2 false positives."""
    wide, plain, marked, none = (row["uniform"] for row in judged.metrics["negatives"]["recall_at_fpr"])
    assert (wide["false_positives"], plain["false_positives"], marked["false_positives"]) == (200, 20, 2)
    assert marked["few"]
    assert none["value"] is None
    assert none["why"].startswith("not resolved: 0.2 false positives are expected of 20,000 non-lenses; before the fir")
    assert none["low"] is none["high"] is None


def test_the_stratified_negatives_stand_beside_and_nothing_else_changes(judged):
    plain = evaluation_of(SCORES, QUICK)
    for k, row in enumerate(judged.metrics["ranking"]["test"]["recall_at_fpr"]):
        assert judged.metrics["negatives"]["recall_at_fpr"][k]["stratified"]["value"] == row["value"]
    for block in ("headline", "levels", "thresholds", "ranking", "calibration", "rows"):
        assert judged.metrics[block] == plain.metrics[block]
    assert plain.metrics["negatives"] is None
    assert [source.role for source in _inputs(judged)] == ["scores", "negatives"]


def _inputs(evaluation):
    from lensctl.io.provenance.steps import from_list

    return from_list(evaluation.metrics["provenance"], "metrics")[-1].inputs


def test_the_table_has_the_rate_of_each_class_at_each_threshold(judged):
    rows = judged.tables["fpr"].to_pylist()
    category = np.array([name or "" for name in UNIFORM["confuser_category"].to_pylist()])
    logit = UNIFORM["logit"].to_numpy()
    assert {row["category"] for row in rows} >= {"all", "none", *CONFUSERS}
    for row in rows:
        if row["logit"] is None:
            assert (row["fpr"], bool(row["why"])) == (None, True)
            continue
        inside = {"all": np.ones(len(logit), bool), "none": category == ""}.get(
            row["category"], category == row["category"]
        )
        taken = int((logit[inside] >= row["logit"]).sum())
        assert (row["n"], row["false_positives"]) == (inside.sum(), taken)
        assert row["fpr"] == (pytest.approx(taken / inside.sum()) if taken else None)
        if not taken and row["n"]:
            assert row["text"].startswith(f"0 of {row['n']:,}: below")
    at = {(row["threshold"], row["category"]): row["fpr"] for row in rows}
    assert at["uniform fpr=0.01", "ring_proxy"] > 5 * at["uniform fpr=0.01", "none"]
    assert at["uniform fpr=0.01", "all"] == pytest.approx(0.01)


def test_with_grades_both_figures_are_given(given, tmp_path):
    """Of the ten highest-scored galaxies eight are graded lenses: as graded the threshold is lower, recall higher."""
    order = np.argsort(-UNIFORM["logit"].to_numpy())[:10]
    names = [UNIFORM["galaxy_id"][int(row)].as_py() for row in order]
    text = "".join(f"{name},{grade}\n" for name, grade in zip(names, ["A"] * 5 + ["B"] * 3 + ["C", "not"], strict=True))
    (tmp_path / "grades.csv").write_text("galaxy_id,grading\n" + text)
    graded = read_grades(str(tmp_path / "grades.csv"))
    found = evaluation_of(SCORES, QUICK, negatives=given, graded=graded)
    block = found.metrics["negatives"]
    assert block["graded_lenses"] == 8
    row = block["recall_at_fpr"][1]
    assert row["as_graded"]["false_positives"] == 19
    assert row["as_graded"]["logit"] < row["uniform"]["logit"]
    assert row["as_graded"]["value"] >= row["uniform"]["value"]
    first = next(row for row in found.tables["fpr"].to_pylist() if row["threshold"] == "uniform fpr=0.001")
    assert (first["false_positives"], first["graded_lenses"]) == (20, 8)
    assert first["fpr_as_graded"] == pytest.approx(12 / 19_992)
    (tmp_path / "others.csv").write_text("galaxy_id,grading\nnobody,A\n")
    with pytest.raises(InputError, match="none of its 1 galaxies is among the scores"):
        evaluation_of(SCORES, QUICK, negatives=given, graded=read_grades(str(tmp_path / "others.csv")))


def test_the_report_says_that_the_rates_are_upper_bounds(judged, tmp_path):
    out = write(tmp_path, judged)
    report = (out / "report.html").read_text()
    assert uniform_negatives.NOTE in report
    assert "20,000 galaxies of uniform.parquet" in report
    assert {"fpr.csv", "fpr.parquet"} <= {path.name for path in (out / "tables").iterdir()}
    kept = json.loads((out / "metrics.json").read_text())["negatives"]
    assert kept == judged.metrics["negatives"]


@pytest.mark.parametrize("sets", [40, pytest.param(400, marks=pytest.mark.soak)])
def test_the_interval_holds_the_recall_at_the_true_threshold(sets):
    """Lenses and galaxies in 150 pixels whose logits share a shift: 95 % of the intervals hold the true recall."""
    inside = 0
    for seed in range(sets):
        random = np.random.default_rng(seed)
        shift = random.normal(0, 0.3, 150)
        lens_pixel, pixel = random.integers(0, 150, 300), random.integers(0, 150, 8_000)
        logit = np.concatenate([
            2.5 + shift[lens_pixel] + random.normal(size=300), shift[pixel] + random.normal(size=8_000)
        ])  # fmt: skip
        label = np.arange(8_300) < 300
        (row, *_) = uniform_negatives._recalls(label, logit, np.concatenate([lens_pixel, pixel]), 400, 1)
        inside += row["low"] <= TRUE <= row["high"]
    least = 0.95 - 3.0 * np.sqrt(0.95 * 0.05 / sets)
    assert inside / sets >= least


def true_recall():
    from scipy.special import ndtr, ndtri

    width = np.hypot(1.0, 0.3)
    return float(ndtr((2.5 - width * ndtri(0.99)) / width))


TRUE = true_recall()


def test_choices_are_recorded_as_before():
    assert "negatives" not in Choices().as_dict()
