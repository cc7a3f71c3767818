"""Grades given in a report: what they do to the figures, what they leave alone, and who else reads them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.crossmatch.candidates import select
from lensctl.evaluate import grades, scored
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.report.html import render
from lensctl.io.provenance.steps import from_list
from lensctl.io.tables import lens_catalogs
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from lensctl.stats import metrics
from tests.toys.scores import toy_scores

QUICK = Choices(rounds=100, top=10)


@pytest.fixture(scope="module")
def scores():
    return toy_scores()


@pytest.fixture(scope="module")
def plain(scores):
    return evaluation_of(scores, QUICK)


def write(tmp_path, rows, name="grades.csv"):
    path = tmp_path / name
    path.write_text("galaxy_id,ra,dec,grading\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows))
    return str(path)


def picked(scores, label, count, highest=True):
    """(galaxy_id, ra, dec) of test rows of a label by score."""
    rows = scores.filter(
        pa.array((np.array(scores["split"].to_pylist()) == "test") & (scores["label"].to_numpy() == label))
    ).sort_by([("logit", "descending" if highest else "ascending")])
    return [(r["galaxy_id"], r["ra"], r["dec"]) for r in rows.slice(0, count).to_pylist()]


@pytest.fixture
def graded(tmp_path, scores):
    others, lenses = picked(scores, 0, 6), picked(scores, 1, 3, highest=False)
    given = ["A", "B", "probable", "C", "not", ""]
    rows = [(*other, grade) for other, grade in zip(others, given, strict=True)]
    rows += [(*lens, grade) for lens, grade in zip(lenses, ["not", "C", "A"], strict=True)]
    return write(tmp_path, rows)


def test_the_figures_after_are_those_without_the_galaxies_whose_label_is_denied(scores, plain, graded):
    found = evaluation_of(scores, QUICK, graded=grades.read_grades(graded)).metrics["grades"]
    assert found["left_out_of_test"] == {"others_that_are_lenses": 3, "lenses_that_are_none": 1}
    assert (found["graded"], found["among_scores"]) == (8, 8)
    out = {galaxy for galaxy, *_ in picked(scores, 0, 3)} | {picked(scores, 1, 1, highest=False)[0][0]}
    test = [r for r in scores.to_pylist() if r["split"] == "test" and r["galaxy_id"] not in out]
    label, logit = np.array([r["label"] for r in test]), np.array([r["logit"] for r in test])
    after = {row["figure"]: row["after"] for row in found["figures"]}
    assert after["AUC"]["value"] == pytest.approx(metrics.roc_auc(label, logit))
    assert after["FPR at p = 0.5"]["value"] == (logit[label == 0] >= 0).mean()
    assert after["recall at p = 0.5"]["value"] == (logit[label == 1] >= 0).mean()
    points = metrics.curve(label, logit)
    assert after["TPR10"]["value"] == metrics.point_before_false_positive(points, 10).recall
    before = {row["figure"]: row["before"] for row in found["figures"]}
    assert before["AUC"] == plain.metrics["headline"]["test_auc"]
    assert after["AUC"]["value"] > before["AUC"]["value"]


def test_grades_change_no_threshold_no_calibration_no_headline_and_no_verdict(scores, plain, graded):
    found = evaluation_of(scores, QUICK, graded=grades.read_grades(graded))
    for name in ("headline", "levels", "thresholds", "calibration", "ranking", "at_p_half", "rows"):
        assert found.metrics[name] == plain.metrics[name], name
    assert plain.metrics["grades"] is None
    assert "biased" in found.metrics["grades"]["note"]
    assert found.metrics["grades"]["note"] in render(found, {}, {})


def test_what_was_taken_for_what_is_counted(scores, graded):
    found = evaluation_of(scores, QUICK, graded=grades.read_grades(graded))
    total = {grade: sum(row[grade] for row in found.metrics["grades"]["counts"]) for grade in lens_catalogs.GRADES}
    assert total == {"A": 2, "B": 2, "C": 2, "not": 2}
    table = {row["galaxy_id"]: row for row in found.tables["graded"].to_pylist()}
    assert len(table) == 8
    first_other, first_lens = picked(scores, 0, 1)[0][0], picked(scores, 1, 1, highest=False)[0][0]
    assert table[first_other]["effect"] == "left out: a lens among the others"
    assert (table[first_lens]["grading"], table[first_lens]["effect"]) == ("not", "left out: no lens")
    assert sum(row["effect"] is None for row in table.values()) == 4


def test_the_grades_are_an_input_of_the_step_and_come_back_in_the_report(scores, graded):
    read = grades.read_grades(graded)
    found = evaluation_of(scores, QUICK, graded=read)
    step = from_list(found.metrics["provenance"], "metrics")[-1]
    assert step.input("grades").digest == read.source.digest == found.metrics["grades"]["digest"]
    galaxy = picked(scores, 0, 1)[0][0]
    assert f'data-galaxy-id="{galaxy}"' in render(found, {}, {})
    assert 'data-given="A"' in render(found, {}, {})
    assert 'data-given="' not in render(evaluation_of(scores, QUICK), {}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ra,dec,grading\n1,2,A\n", "galaxy_id"),
        ("galaxy_id,ra,dec\nx,1,2\n", "grading"),
        ("galaxy_id,grading\nx,A\ny,maybe\n", "grades.csv: grading in row 1 is 'maybe'"),
        ("galaxy_id,grading\nx,A\nx,not\n", "galaxy x is graded A and, in row 1, not"),
        ("galaxy_id,grading\nx,\n", "no grades in this file"),
        ("galaxy_id,grading\nx,A\n", "none of its 1 galaxies is among the scores"),
    ],
)
def test_grades_that_are_none_are_refused(tmp_path, scores, text, message):
    (tmp_path / "grades.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        evaluation_of(scores, QUICK, graded=grades.read_grades(str(tmp_path / "grades.csv")))


def test_ids_that_are_numbers_are_found_too(tmp_path, scores):
    numbers = pa.array(range(scores.num_rows))
    table = scores.set_column(scores.column_names.index("galaxy_id"), "galaxy_id", numbers)
    part = scored.read_scores(table.replace_schema_metadata())
    (tmp_path / "grades.csv").write_text("galaxy_id,grading\n3,A\n")
    found = grades.given(part, grades.read_grades(str(tmp_path / "grades.csv"))).tolist()
    assert found.count("A") == 1


def test_a_galaxy_graded_not_is_kept_among_the_negatives_and_makes_no_positive(tmp_path):
    path = write(
        tmp_path, [("a", 10.0, 1.0, "A"), ("b", 20.0, 2.0, "not"), ("c", 30.0, 3.0, "C"), ("d", 40.0, 4.0, "NOT ")]
    )
    lenses, (source,) = lens_catalogs.positions([path])
    ra, dec = lenses.every
    assert (ra.tolist(), dec.tolist()) == ([10.0, 30.0], [1.0, 3.0])
    assert source.name == "grades.csv"
    positives = select(lens_catalogs.read_lens_catalog(path)).rows
    assert (positives["ra"].to_pylist(), positives["tier"].to_pylist()) == ([10.0], ["A"])


def test_a_catalogue_without_grades_keeps_every_position(tmp_path):
    write_table(pa.table({"ra": [1.0, 2.0], "dec": [3.0, 4.0]}), str(tmp_path / "plain.parquet"))
    ra, _ = lens_catalogs.positions([str(tmp_path / "plain.parquet")])[0].every
    assert ra.tolist() == [1.0, 2.0]
