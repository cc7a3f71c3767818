"""`lensctl evaluate` as a command."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest

from lensctl.cli.main import main
from lensctl.evaluate.report import plots
from lensctl.io.tables.files import write_table
from tests.toys import pixels, rings
from tests.toys.frozen import content
from tests.toys.manifests import changed, with_rows
from tests.toys.scores import restamped, toy_scores
from tests.toys.uniform import uniform_scores

QUICK = ["--rounds", "100", "--top-k", "10"]


@pytest.fixture(scope="module")
def scores():
    return toy_scores(200, 800)


@pytest.fixture
def folder(tmp_path, monkeypatch, scores):
    """The current folder, with scores.parquet; one plot stands for all, because five take seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plots, "PLOTS", {"roc": plots.PLOTS["roc"]})
    write_table(scores, "scores.parquet")
    return tmp_path


def said(capfd):
    out, err = capfd.readouterr()
    return [json.loads(line) for line in out.splitlines()], err


def test_it_makes_the_folder_and_says_so_in_one_line(folder, capfd):
    assert main(["evaluate", "scores.parquet", "out", *QUICK]) == 0
    (line,), err = said(capfd)
    assert line["command"] == "evaluate"
    assert line["output"] == "out"
    assert line["rows"] == 1000
    assert line["levels"].keys() == {"mvp", "publication"}
    assert (line["mock"], line["pictures"]) == (False, 0)
    assert "Level mvp" in err
    assert "mock" not in err
    names = set(content(folder / "out"))
    assert {"metrics.json", "report.html", "plots/roc.png", "tables/strata.csv", "tables/val_scores.parquet"} <= names
    assert "evaluate with --root" in (folder / "out" / "report.html").read_text()


def test_the_same_command_in_another_process_at_another_time_gives_the_same_bytes(tmp_path, scores):
    write_table(scores, str(tmp_path / "scores.parquet"))
    made = []
    for date in ("1", "1700000000"):
        run = [sys.executable, "-m", "lensctl", "evaluate", "scores.parquet", "out", "--overwrite", *QUICK]
        env = {**os.environ, "SOURCE_DATE_EPOCH": date, "PYTHONHASHSEED": date[-1]}
        done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        made.append(content(tmp_path / "out"))
    assert made[0].keys() == made[1].keys()
    assert [name for name in made[0] if made[0][name] != made[1][name]] == []


def test_it_refuses_what_exists_unless_told(folder, capfd):
    (folder / "out").mkdir()
    (folder / "out" / "mine").write_text("kept")
    assert main(["evaluate", "scores.parquet", "out", *QUICK]) == 2
    assert "out exists" in said(capfd)[1]
    assert content(folder / "out") == {"mine": b"kept"}
    assert main(["evaluate", "scores.parquet", "out", *QUICK, "--overwrite"]) == 0
    assert "mine" not in content(folder / "out")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nothing.parquet", "out"], "nothing.parquet: no such file"),
        (["scores.parquet", "out", "--prevalence", "2"], "--prevalence 2 is not between 0 and 1"),
        (["scores.parquet", "out", "--calibration", "plat"], "no calibration 'plat' (did you mean 'platt'?)"),
        (["scores.parquet", "out", "--rounds", "3"], "--rounds"),
        (["scores.parquet", "nowhere/out"], "folder nowhere/ does not exist"),
        (["nan.parquet", "out"], "nan.parquet: column 'logit' is not finite in 1 rows, first in row 7"),
        (
            ["bare.parquet", "out", "--prevalence", "0.01"],
            "bare.parquet: scores without labels, of which --prevalence cannot",
        ),
        (["empty.parquet", "out"], "empty.parquet: the table has no rows"),
        (["scores.parquet", "out", "--root", "nowhere"], "nowhere"),
        (["scores.parquet", "out", "--against", "nothing.parquet"], "nothing.parquet: no such file"),
        (["scores.parquet", "out", "--grades", "bad.csv"], "bad.csv: grading in row 0 is 'maybe'"),
        (["scores.parquet"], "OUT_DIR is missing"),
        (
            ["old", "--against", "scores.parquet", "--grades", "bad.csv"],
            "--grades, --prevalence, --thresholds and --negatives need an",
        ),
        (["scores.parquet", "out", "--all-rows"], "--all-rows needs --thresholds"),
        (["scores.parquet", "out", "--thresholds", "bad.csv"], "bad.csv: not a run, a frozen model or an evaluation"),
        (["scores.parquet", "out", "--thresholds", "old"], "old: not as lensctl wrote it"),
        (
            ["scores.parquet", "out", "--thresholds", "run"],
            "run: this run, made by an older version or not finished, keeps no",
        ),
        (
            ["scores.parquet", "out", "--all-rows", "--thresholds", "old", "--against", "scores.parquet"],
            "--all-rows and --against exclude each other",
        ),
        (["text.parquet", "out"], "text.parquet: column 'logit' is string, and high in row 0 does not fit double"),
        (["scores.parquet", "-"], "this output cannot go through a pipe"),
        (["old", "out"], "old is an evaluation, not scores"),
        (["changed.parquet", "out"], "differ from the scored manifest, manifest.parquet"),
        (["twice.parquet", "out"], "1 values of 'galaxy_id' occur in more than one row: 0000p000_0"),
    ],
)
def test_what_cannot_be_judged_is_said_plainly_and_nothing_is_written(folder, scores, capfd, args, message):
    write_table(with_rows(scores, [7], logit=float("nan")), "nan.parquet")
    write_table(scores.drop_columns(["label"]), "bare.parquet")
    write_table(scores.slice(0, 0), "empty.parquet")
    text = pa.array(["high"] * scores.num_rows)
    write_table(scores.set_column(scores.column_names.index("logit"), "logit", text), "text.parquet")
    write_table(with_rows(scores, [1], galaxy_id="0000p000_0"), "twice.parquet")
    write_table(with_rows(with_rows(scores, [0], label=0), [0], tier="N1"), "changed.parquet")
    (folder / "bad.csv").write_text("galaxy_id,grading\nx,maybe\n")
    for name, file in (("old", "metrics.json"), ("run", "run.json")):
        (folder / name).mkdir()
        (folder / name / file).write_text("{}")
    before = {path.name for path in folder.iterdir()}
    assert main(["evaluate", *args]) == 2
    out, err = said(capfd)
    assert out == []
    assert message in err
    assert "Traceback" not in err
    assert {path.name for path in folder.iterdir()} == before


def test_scores_come_through_a_pipe_too_with_settings_from_a_config(folder, scores, monkeypatch):
    (folder / "c.yaml").write_text("top_k: 10\nrounds: 100\n")
    write_table(scores, "scores.arrow")
    with open("scores.arrow", "rb") as stream:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stream))
        assert main(["evaluate", "-", "piped", "--config", "c.yaml"]) == 0
    assert main(["evaluate", "scores.parquet", "out", *QUICK]) == 0
    ours, piped = (json.loads((folder / name / "metrics.json").read_text()) for name in ("out", "piped"))
    assert piped["headline"] == ours["headline"]
    assert piped["scores_digest"] == ours["scores_digest"]


def test_a_mistyped_setting_is_refused(folder, capfd):
    (folder / "c.yaml").write_text("prevalance: 0.1\n")
    assert main(["evaluate", "scores.parquet", "out", "--config", "c.yaml"]) == 2
    assert "did you mean 'prevalence'?" in said(capfd)[1]


def with_pixels(folder, scores):
    """The scores with a store of pixels beside them."""
    images = rings.images(scores["label"].to_numpy(), size=21)
    store = pixels.make_store(folder / "cutouts.zarr", images, shard_rows=256)
    for name in ("galaxy_id", "ra", "dec"):
        scores = changed(scores, name, store.index[name].to_pylist())
    return restamped(scores)


def test_the_report_shows_the_cutouts_that_the_manifest_names(folder, scores, capfd):
    write_table(with_pixels(folder, scores), "scores.parquet", overwrite=True)
    assert main(["evaluate", "scores.parquet", "out", *QUICK]) == 0
    (line,), _ = said(capfd)
    assert line["pictures"] > 10
    report = (folder / "out" / "report.html").read_text()
    assert report.count('<img src="data:image/jpeg;base64,') == line["pictures"]
    (folder / "elsewhere").mkdir()
    (folder / "cutouts.zarr").rename(folder / "elsewhere" / "cutouts.zarr")
    assert main(["evaluate", "scores.parquet", "without", *QUICK]) == 0
    assert main(["evaluate", "scores.parquet", "with", *QUICK, "--root", "elsewhere"]) == 0
    lines, _ = said(capfd)
    assert [made["pictures"] for made in lines] == [0, line["pictures"]]
    assert (folder / "with" / "report.html").read_text() == report
    assert (folder / "without" / "metrics.json").read_text() == (folder / "with" / "metrics.json").read_text()


def test_grades_and_another_evaluation_are_told_on_stderr(folder, scores, capfd):
    shown = scores.filter(column_is(scores, "split", "test")).slice(0, 3)["galaxy_id"].to_pylist()
    (folder / "grades.csv").write_text("galaxy_id,grading\n" + "".join(f"{galaxy},not\n" for galaxy in shown))
    beside = ["--grades", "grades.csv", "--against", "scores.parquet"]
    assert main(["evaluate", "scores.parquet", "out", *beside, *QUICK]) == 0
    (_,), err = said(capfd)
    assert "With the grades of grades.csv" in err
    assert "3 of 3 graded galaxies are among the scores; as graded, test excludes 0 negatives graded as lenses" in err
    assert (
        "on 150 common test galaxies (30 lenses): recall at FPR 0.01: not distinguished. Of the others, better: none"
        in err
    )
    assert {"tables/against.csv", "tables/graded.parquet", "tables/test_scores.csv"} <= set(content(folder / "out"))


def column_is(table, name, value):
    return pa.array([item == value for item in table[name].to_pylist()])


def test_a_mock_survey_is_announced_on_stderr(folder, capfd):
    write_table(toy_scores(200, 800, commands=("sky", "pool")), "scores.parquet", overwrite=True)
    assert main(["evaluate", "scores.parquet", "out", *QUICK]) == 0
    (line,), err = said(capfd)
    assert line["mock"] is True
    assert "These data are a mock survey" in err


def test_help_has_an_example(capfd):
    assert main(["evaluate", "--help"]) == 0
    assert "Example: lensctl evaluate " in capfd.readouterr().out


def test_a_uniform_draw_is_told_of_and_the_same_bytes_come_twice(folder, scores, capfd):
    write_table(uniform_scores(scores, 3_000), "uniform.parquet")
    (folder / "lenses.csv").write_text("ra,dec\n10.0,-80.0\n")
    beside = ["--negatives", "uniform.parquet", "--lenses", "lenses.csv", "--manifest", "scores.parquet"]
    assert main(["evaluate", "scores.parquet", "out", *beside, *QUICK]) == 0
    (line,), err = said(capfd)
    assert line["negatives"] == 3_000
    assert "On 3,000 uniform negatives of uniform.parquet" in err
    assert "Random galaxies hold undiscovered lenses" in err
    assert main(["evaluate", "scores.parquet", "again", *beside, *QUICK]) == 0
    assert content(folder / "out") == content(folder / "again")
    inputs = json.loads((folder / "out" / "metrics.json").read_text())["provenance"][-1]["inputs"]
    assert [each["role"] for each in inputs] == ["scores", "negatives", "lenses", "manifest"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["scores.parquet", "out", "--lenses", "l.csv"], "--lenses and --manifest belong to --negatives"),
        (["scores.parquet", "out", "--manifest", "m.parquet"], "--lenses and --manifest belong to --negatives"),
        (["scores.parquet", "out", "--negatives", "nothing.parquet"], "nothing.parquet: no such file"),
        (["scores.parquet", "out", "--negatives", "scores.parquet"], "rows are of tier N"),
        (["scores.parquet", "--against", "scores.parquet", "--negatives", "u.parquet"], "--negatives need an OUT_DIR"),
    ],
)
def test_negatives_that_cannot_be_judged_are_said_plainly(folder, capfd, args, message):
    before = {path.name for path in folder.iterdir()}
    assert main(["evaluate", *args]) == 2
    out, err = said(capfd)
    assert (out, "Traceback" in err) == ([], False)
    assert message in err
    assert {path.name for path in folder.iterdir()} == before
