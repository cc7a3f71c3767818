"""A uniform draw is believed only where it says so, is of the same model, and holds nothing that the model may know."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate.uniform.rows import read_uniform, uniform_of
from lensctl.io.provenance.steps import Step, chain_of, stamp
from lensctl.io.tables.files import write_table
from lensctl.rules import split
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.toys.manifests import changed, with_rows
from tests.toys.scores import toy_scores
from tests.toys.surveys import WIDE
from tests.toys.uniform import uniform_scores

SCORES = toy_scores(200, 800)
UNIFORM = uniform_scores(SCORES, 2_000)
NO_LENSES = SCORES.slice(0, 0)


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """Read a table of a uniform draw, and take its rows."""
    monkeypatch.chdir(tmp_path)

    def rows(table=UNIFORM, lenses=(), manifest=None, own=NO_LENSES, scores=SCORES, survey=LS_DR10):
        write_table(table, "uniform.parquet", overwrite=True)
        return uniform_of(read_uniform("uniform.parquet", lenses, manifest), own, survey, chain_of(scores))

    return rows


def without_provenance(table):
    return table.replace_schema_metadata()


def test_the_rows_are_those_of_the_table(judge):
    found = judge()
    assert len(found) == 2_000
    assert found.logit.tolist() == UNIFORM["logit"].to_pylist()
    assert [name or None for name in found.category.tolist()] == UNIFORM["confuser_category"].to_pylist()
    assert (found.weight, found.unscored, found.lenses_left_out) == (25.0, 0, 0)
    assert (found.pixel == split.healpix(UNIFORM["ra"].to_numpy(), UNIFORM["dec"].to_numpy())).all()


def test_rows_without_a_score_are_counted_and_left_out(judge):
    found = judge(with_rows(UNIFORM, [3, 5], logit=None))
    assert (len(found), found.unscored) == (1_998, 2)
    assert found.galaxy_id.to_pylist()[3] == "u4"


def test_lenses_of_a_scored_manifest_are_counted_left_out_and_stayed_away_from(judge):
    labelled = UNIFORM.append_column("label", pa.array([1] * 3 + [0] * 1_997))
    labelled = with_rows(labelled, [0, 1, 2], tier="A")
    found = judge(labelled)
    assert (len(found), found.lenses_left_out) == (1_997, 3)
    beside = with_rows(labelled, [3], ra=UNIFORM["ra"][0].as_py(), dec=UNIFORM["dec"][0].as_py() + 5 / 3600)
    with pytest.raises(InputError, match=r"of 1,997 rows 1 within 11 arcsec of a lens"):
        judge(beside)


def in_split(name):
    """A place of a split."""
    ra = np.linspace(0, 359, 2_000)
    dec = np.zeros(2_000)
    k = int(np.flatnonzero(split.splits_of(split.healpix(ra, dec)) == name)[0])
    return {"ra": float(ra[k]), "dec": 0.0}


def test_rows_of_train_and_val_are_refused_with_their_number(judge):
    table = with_rows(with_rows(UNIFORM, [1, 2, 3], **in_split("train")), [4], **in_split("val"))
    expected = r"of 2,000 rows 3 of split train by the split rule, 1 of split val by the split rule"
    with pytest.raises(InputError, match=expected):
        judge(table)


def test_rows_that_a_manifest_has_in_train_or_val_are_refused_wherever_they_lie(judge):
    ids = ["u1", "u2", "u3"]
    manifest = pa.table({"galaxy_id": [*ids, "other"], "split": ["train", "val", "test", "train"]})
    write_table(manifest, "manifest.parquet")
    with pytest.raises(InputError, match="of 2,000 rows 2 of train or val of the manifest"):
        judge(manifest="manifest.parquet")


def test_rows_near_a_lens_of_a_catalogue_or_of_the_scores_are_refused(judge):
    ra, dec = UNIFORM["ra"][7].as_py(), UNIFORM["dec"][7].as_py()
    write_table(pa.table({"ra": [ra], "dec": [dec + 10.9 / 3600], "grading": ["C"]}), "lenses.csv")
    with pytest.raises(InputError, match="1 within 11 arcsec of a lens"):
        judge(lenses=["lenses.csv"])
    with pytest.raises(InputError, match="1 within 11 arcsec of a lens"):
        judge(own=pa.table({"ra": [ra], "dec": [dec - 10.9 / 3600]}))
    write_table(pa.table({"ra": [ra], "dec": [dec + 11.1 / 3600], "grading": ["A"]}), "far.csv")
    assert len(judge(lenses=["far.csv"])) == 2_000


def test_the_splits_of_a_model_of_a_fold_are_those_of_its_fold(judge):
    trained = [step if step.command != "train" else Step("train", {"fold": "1/5"}, step.inputs) for step in
               chain_of(SCORES)]  # fmt: skip
    with pytest.raises(InputError, match="of split train by the split rule"):
        judge(scores=stamp(SCORES, tuple(trained)))


def other_model(table):
    chain = chain_of(table)
    source, *rest = chain[-1].inputs
    other = type(source)(source.role, source.name, "sha256:" + "9" * 64, source.step)
    return stamp(table, (*chain[:-1], Step("score", {}, (other, *rest))))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (UNIFORM.drop_columns(["ra"]), "uniform.parquet: column 'ra' is missing"),
        (UNIFORM.drop_columns(["logit"]), "uniform.parquet: column 'logit' is missing"),
        (with_rows(UNIFORM, [1], galaxy_id="u0"), "1 values of 'galaxy_id' occur in more than one row: u0"),
        (with_rows(UNIFORM, [1], dec=None), "column 'dec' is null or NaN in 1 rows, first in row 1"),
        (with_rows(UNIFORM, [1], logit=float("inf")), "column 'logit' is not finite in 1 rows"),
        (changed(UNIFORM, "logit", [None] * 2_000), "no row has a score"),
        (with_rows(UNIFORM, [1, 2], tier="N1"), "2 rows are of tier N1, and those of a uniform draw of N0"),
        (with_rows(UNIFORM, [1], tier=None), "1 rows are of tier None"),
        (with_rows(UNIFORM, [1], sampling_weight=5.0), "sampling_weight is 5 to 25, and the same for all rows"),
        (with_rows(UNIFORM, [1], sampling_weight=None), "column 'sampling_weight' is null or NaN in 1 rows"),
        (other_model(UNIFORM), "the scores are of another model"),
        (without_provenance(UNIFORM), "the scores are of no model that is known"),
    ],
)
def test_what_is_no_uniform_draw_of_the_model_is_refused_in_a_sentence(judge, table, message):
    with pytest.raises(InputError, match=message):
        judge(table)


def test_without_a_tier_the_provenance_must_say_that_the_draw_is_uniform(judge):
    assert len(judge(UNIFORM.drop_columns(["tier"]))) == 2_000
    stratified = uniform_scores(SCORES, 2_000, parameters={"seed": 42}).drop_columns(["tier"])
    with pytest.raises(InputError, match="nothing says that its rows are a uniform draw"):
        judge(stratified)


def test_another_survey_is_refused(judge):
    with pytest.raises(InputError, match="is of survey"):
        judge(survey=WIDE)


def test_no_columns_but_the_needed_are_needed(judge):
    few = UNIFORM.drop_columns(["confuser_category", "sampling_weight", "tier"])
    found = judge(few)
    assert (found.category, found.weight) == (None, None)


def test_nothing_but_lenses_is_refused(judge):
    labelled = UNIFORM.append_column("label", pa.array([1] * 2_000))
    with pytest.raises(InputError, match="no row is a negative"):
        judge(labelled)
