"""An outside labelled set is judged by thresholds and calibration of the model's own val, and of no other model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from lensctl.cli.main import main
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.given_thresholds import read_thresholds
from lensctl.evaluate.report import folder as written
from lensctl.evaluate.report import plots
from lensctl.evaluate.report.html import render
from lensctl.io.provenance.steps import chain_of, from_list, stamp
from lensctl.io.tables.files import write_table
from lensctl.learning.networks.run_files import VAL_SCORES
from lensctl.rules.errors import InputError
from lensctl.stats import metrics
from tests.evaluate.toys import QUICK, rescored
from tests.toys import frozen, rings
from tests.toys.manifests import changed
from tests.toys.scores import restamped, toy_scores

ALL = Choices(rounds=100, top=5, all_rows=True)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The folder of an evaluation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "PLOTS", {})
        out = tmp_path_factory.mktemp("given") / "evaluation"
        out.mkdir()
        written.write(evaluation_of(toy_scores(), QUICK), out, None)
    return out


@pytest.fixture(scope="module")
def outside():
    """Scores of another manifest by the same model, without splits."""
    return restamped(toy_scores(150, 900, seed=5).drop_columns(["split"]))


def test_every_row_is_judged_at_the_thresholds_of_the_models_own_val(evaluated, outside):
    own = json.loads((evaluated / "metrics.json").read_text())
    found = evaluation_of(outside, ALL, given=read_thresholds(str(evaluated)))
    judged = found.metrics
    assert judged["judged"] == "all rows"
    assert judged["rows"] == {"test": judged["rows"]["test"]}
    assert judged["rows"]["test"]["scored"] == 1050
    assert [point["logit"] for point in judged["thresholds"]["points"]] == [
        point["logit"] for point in own["thresholds"]["points"]
    ]
    assert judged["calibration"]["slope"] == own["calibration"]["slope"]
    label, logit = outside["label"].to_numpy(), outside["logit"].to_numpy()
    assert judged["headline"]["test_auc"]["value"] == pytest.approx(metrics.roc_auc(label, logit))
    threshold = own["thresholds"]["points"][1]["logit"]
    assert judged["thresholds"]["points"][1]["test"]["fpr"]["value"] == (logit[label == 0] >= threshold).mean()
    step = from_list(judged["provenance"], "metrics")[-1]
    assert [source.role for source in step.inputs] == ["scores", "thresholds"]
    assert "all rows of an outside set" in render(found, {}, {})
    for name in plots.PLOTS:
        plots.draw(name, found)


def test_what_the_outside_set_says_moves_no_threshold(evaluated, outside):
    given = read_thresholds(str(evaluated))
    moved = restamped(rescored(outside, np.full(len(outside), True), 1.5))
    before, after = (evaluation_of(table, ALL, given=given).metrics for table in (outside, moved))
    assert [p["logit"] for p in before["thresholds"]["points"]] == [p["logit"] for p in after["thresholds"]["points"]]
    assert before["calibration"]["bias"] == after["calibration"]["bias"]
    assert before["headline"]["fpr"]["value"] < after["headline"]["fpr"]["value"]


def test_a_split_of_test_alone_can_be_judged_with_given_thresholds(evaluated):
    scores = toy_scores()
    of_test = [split == "test" for split in scores["split"].to_pylist()]
    found = evaluation_of(restamped(scores.filter(of_test)), QUICK, given=read_thresholds(str(evaluated))).metrics
    assert (found["judged"], found["headline"]["val_auc"]["value"]) == ("split test", None)
    own = json.loads((evaluated / "metrics.json").read_text())
    assert found["headline"]["fpr"] == own["headline"]["fpr"]


def test_thresholds_of_another_model_or_of_changed_scores_are_refused(evaluated, outside, tmp_path):
    given = read_thresholds(str(evaluated))
    with pytest.raises(InputError, match="the scores are of no model that is known"):
        evaluation_of(outside.replace_schema_metadata(), ALL, given=given)
    other = json.loads((evaluated / "metrics.json").read_text())
    (tmp_path / "tables").mkdir()
    (tmp_path / "metrics.json").write_text(json.dumps({**other, "model_digest": "sha256:" + "7" * 64}))
    kept = (evaluated / "tables" / "val_scores.parquet").read_bytes()
    (tmp_path / "tables" / "val_scores.parquet").write_bytes(kept)
    with pytest.raises(InputError, match="the scores are of another model"):
        evaluation_of(outside, ALL, given=read_thresholds(str(tmp_path)))
    write_table(toy_scores(60, 300).select(["galaxy_id", "label", "logit"]), str(tmp_path / "tables" / "more.parquet"))
    (tmp_path / "tables" / "more.parquet").rename(tmp_path / "tables" / "val_scores.parquet")
    with pytest.raises(InputError, match="modified since the evaluation"):
        read_thresholds(str(tmp_path))


def test_without_them_every_row_is_of_the_split_that_it_says(outside):
    with pytest.raises(InputError, match="split"):
        evaluation_of(outside, QUICK)


def test_the_command_judges_an_outside_set(evaluated, outside, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plots, "PLOTS", {})
    write_table(changed(outside, "ref", ["a search"] * len(outside)), "outside.parquet")
    words = ["evaluate", "outside.parquet", "out", "--all-rows", "--thresholds", str(evaluated), "--rounds", "100"]
    assert main(words) == 2
    assert "differ from the scored manifest" in capfd.readouterr().err
    write_table(outside, "outside.parquet", overwrite=True)
    assert main([*words, "--prevalence", "1e-3"]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["thresholds"]["given_by"] == "evaluation"
    assert metrics["sky"]["calibration"] is None
    assert metrics["sky"]["at_thresholds"][0]["purity_at_prevalence"]["value"] > 0


def test_a_frozen_model_gives_its_thresholds_as_it_was_frozen_or_not_at_all(bundle, tmp_path):
    shutil.copytree(bundle / "frozen", tmp_path / "frozen")
    kept = tmp_path / "frozen" / "thresholds.json"
    given, facts = read_thresholds(str(tmp_path / "frozen")), json.loads(kept.read_text())
    assert [threshold.logit for threshold in given.chosen] == [point["logit"] for point in facts["points"]]
    assert given.scaling.slope == facts["calibration"]["slope"]
    kept.chmod(0o644)
    kept.write_text(kept.read_text().replace('"split": "val"', '"split": "all"'))
    with pytest.raises(InputError, match=r"fails at 'no file was touched' \(thresholds.json\)"):
        read_thresholds(str(tmp_path / "frozen"))


def test_scores_made_in_another_way_than_the_thresholds_are_refused(evaluated, outside):
    *before, step = chain_of(outside)
    averaged = stamp(outside, (*before, replace(step, parameters={"tta": True})))
    with pytest.raises(InputError, match="scored with --tta, the thresholds of evaluation are of scores without it"):
        evaluation_of(averaged, ALL, given=read_thresholds(str(evaluated)))


def test_the_scores_that_a_run_keeps_give_the_thresholds_of_its_evaluation(bundle):
    for kind in ("platt", "temperature"):
        of_run = read_thresholds(str(bundle / "run"), kind)
        assert of_run.scaling.kind == kind
    of_run, evaluated = read_thresholds(str(bundle / "run")), read_thresholds(str(bundle / "evaluation"))
    assert of_run.model_digest == evaluated.model_digest
    assert [one.name for one in of_run.chosen] == [one.name for one in evaluated.chosen]
    for ours, theirs in zip(of_run.chosen, evaluated.chosen, strict=True):
        assert ours.logit == pytest.approx(theirs.logit, abs=1e-5)
        assert (ours.found, ours.false, ours.others) == (theirs.found, theirs.false, theirs.others)
    assert of_run.scaling.slope == pytest.approx(evaluated.scaling.slope, rel=1e-4)


def test_a_run_judges_an_outside_set_and_not_its_own_manifest(bundle, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plots, "PLOTS", {})
    with frozen.tiny_network():
        write_table(frozen.scored(bundle, *rings.manifest(300, seed=7)), "outside.parquet")
    words = ["--all-rows", "--thresholds", str(bundle / "run"), "--rounds", "100"]
    assert main(["evaluate", "outside.parquet", "out", *words]) == 0
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (found["judged"], found["thresholds"]["given_by"]) == ("all rows", "run")
    assert found["rows"]["test"]["scored"] == 300
    given = from_list(found["provenance"], "metrics")[-1].input("thresholds")
    assert given.digest == json.loads((bundle / "run" / "run.json").read_text())["val_scores"]["digest"]
    assert main(["evaluate", str(bundle / "scores.parquet"), "again", *words]) == 2
    assert "--all-rows would judge the manifest that the model was trained on" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: frozen.flip(run / "best.safetensors", -1, 0), "its val scores are not those of its weights"),
        (lambda run: write_table(toy_scores(60, 300), str(run / VAL_SCORES), overwrite=True), "are not those of its"),
        (lambda run: (run / VAL_SCORES).unlink(), "no such file"),
        (lambda run: (run / "best.safetensors").unlink(), "its weights cannot be read"),
    ],
    ids=["other weights", "other scores", "no scores", "no weights"],
)
def test_val_scores_that_do_not_belong_to_the_weights_are_refused(bundle, tmp_path, spoil, message):
    shutil.copytree(bundle / "run", tmp_path / "run")
    spoil(tmp_path / "run")
    with pytest.raises(InputError, match=message):
        read_thresholds(str(tmp_path / "run"))


def test_the_thresholds_of_a_run_are_read_without_torch(bundle):
    code = (
        "import sys; from lensctl.evaluate.given_thresholds import read_thresholds\n"
        f"read_thresholds({str(bundle / 'run')!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_rows_that_the_model_was_trained_on_are_no_outside_set(evaluated):
    with pytest.raises(InputError, match="--all-rows would judge the manifest that the model was trained on"):
        evaluation_of(toy_scores(), ALL, given=read_thresholds(str(evaluated)))
