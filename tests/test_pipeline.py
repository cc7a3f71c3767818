"""The whole pipeline, from a mock sky to a verified model, in surveys of other bands, pixels and splits."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lensctl.cli.main import main
from lensctl.io.cutouts.store import open_store
from lensctl.io.provenance.steps import chain_of
from lensctl.rules import split
from lensctl.rules.survey_file import named_survey

EXAMPLES = Path(__file__).parents[1] / "examples" / "surveys"
SURVEYS = ("griz", "vis-yjh")
"""Survey files in examples/surveys."""

TRAINING = ("--arch", "resnet18", "--crop", "48", "--epochs", "3", "--positive-share", "0.4", "--threads", "1")


ONE = ("--workers", 1)
"""A process more imports everything anew."""


def done(*args: object) -> None:
    assert main([str(arg) for arg in args]) == 0, args


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """For each survey a folder with everything from the sky to the frozen model and its scores."""
    folders = {}
    for name in SURVEYS:
        folder = tmp_path_factory.mktemp(name)
        file = EXAMPLES / f"{name}.yaml"
        by_survey = ("--survey", file)
        sky = folder / "sky"
        done("sky", sky, "--galaxies", 420, "--lenses", 120, *ONE, *by_survey)
        positives, negatives, pool = (folder / f"{part}.parquet" for part in ("positives", "negatives", "pool"))
        done("crossmatch", sky / "lenses.csv", sky / "south/tractor/*/*.fits", positives, *ONE, *by_survey)
        done("pool", sky / "south/sweep/10.0/*.fits", pool, "--lenses", sky / "lenses.csv", *ONE, *by_survey)
        strata = ("--stratification-bins", "type=SER,DEV,REX")
        done("sample", pool, negatives, "--positives", positives, "--negatives-per-positive", 2, *strata)
        for table in (positives, negatives):
            done("cutout", table, table.with_suffix(".zarr"), "--root", sky, *ONE)
        manifest = folder / "manifest.parquet"
        inputs = (positives, positives.with_suffix(".zarr"), "--negatives", negatives, negatives.with_suffix(".zarr"))
        done("manifest", manifest, "--positives", *inputs, "--keep-unstratified")
        done("train", manifest, folder / "run", *TRAINING, "--batch-size", 16)
        done("score", folder / "run", manifest, folder / "scores.parquet", *ONE)
        done("evaluate", folder / "scores.parquet", folder / "evaluation")
        with redirect_stdout(io.StringIO()) as lines:
            main(["gate", "splits,overlap,pixels,weights,shortcut", str(manifest)])  # a sky as small passes not all
        (folder / "gates.jsonl").write_text(lines.getvalue())
        reason = ("--allow-failed", "a sky as small as this passes few gates")
        done(
            *("freeze", folder / "run", folder / "frozen", "--evaluation", folder / "evaluation"),
            *("--gates", folder / "gates.jsonl", *reason),
        )
        folders[name] = folder
    return folders


@pytest.mark.parametrize("name", SURVEYS)
def test_every_output_is_of_the_survey_and_the_model_verifies(made, name, capsys):
    survey, folder = named_survey(str(EXAMPLES / f"{name}.yaml")), made[name]
    done("verify", folder / "frozen")
    done("score", folder / "frozen", folder / "positives.zarr", folder / "again.parquet", *ONE)
    for table in ("positives", "pool", "negatives", "manifest", "scores", "again"):
        schema = pq.read_schema(folder / f"{table}.parquet")
        assert {step.survey for step in chain_of(schema)} == {survey}, table
        assert schema.metadata[b"lensctl.survey"].decode() == survey.name
    store = open_store(folder / "positives.zarr")
    assert (store.survey, store.bands, store.attributes["survey"]) == (survey, survey.bands, survey.name)
    assert store.read([0]).shape == (1, survey.cutout_size_px, survey.cutout_size_px, len(survey.bands))
    for file in ("run/run.json", "frozen/frozen.json"):
        model = json.loads((folder / file).read_text())["model"]
        assert json.loads(model["survey"])["name"] == survey.name
        assert (tuple(model["bands"]), model["pixel_scale_arcsec"]) == (
            survey.bands,
            pytest.approx(survey.pixel_scale_arcsec),
        )
    capsys.readouterr()
    done("show", folder / "frozen")
    assert json.loads(capsys.readouterr().out)["survey"].startswith(f"{survey.name}: {', '.join(survey.bands)} at")


@pytest.mark.parametrize("name", SURVEYS)
def test_the_splits_are_those_of_the_survey(made, name):
    survey = named_survey(str(EXAMPLES / f"{name}.yaml"))
    rows = pq.read_table(made[name] / "manifest.parquet")
    found = split.splits_of(rows["healpix_128"].to_numpy(), survey.split_seed, survey.split_edges)
    assert rows["split"].to_pylist() == found.tolist()
    share = {part: rows["split"].to_pylist().count(part) / rows.num_rows for part in survey.split_fractions}
    assert share == pytest.approx(dict(survey.split_fractions), abs=0.06)


@pytest.mark.parametrize("name", SURVEYS)
def test_scores_tell_lenses_from_others(made, name):
    """The arcs are in every band of the survey: a network that sees them beats chance on what it learnt."""
    rows = pq.read_table(made[name] / "scores.parquet")
    train = np.array(rows["split"].to_pylist()) == "train"
    label, logit = rows["label"].to_numpy(), rows["logit"].to_numpy()
    known = train & np.isfinite(logit)
    lenses, others = logit[known & (label == 1)], logit[known & (label == 0)]
    assert (lenses[:, None] > others).mean() > 0.6


@pytest.mark.parametrize(("model", "store"), [("griz", "vis-yjh"), ("vis-yjh", "griz")])
def test_a_store_of_one_survey_is_not_scored_by_a_model_of_another(made, tmp_path, capsys, model, store):
    names = {name: named_survey(str(EXAMPLES / f"{name}.yaml")).name for name in SURVEYS}
    for where in ("run", "frozen"):
        cutouts = made[store] / "positives.zarr"
        assert main([*map(str, ("score", made[model] / where, cutouts, tmp_path / "scores.parquet"))]) == 2
        said = capsys.readouterr().err
        assert f"the cutouts are of survey {names[store]}, {where} was trained on {names[model]}" in said
        assert not (tmp_path / "scores.parquet").exists()


@pytest.mark.parametrize(
    "command",
    [
        "sample {griz}/pool.parquet {out} --positives {vis-yjh}/positives.parquet",
        "cutout {griz}/positives.parquet {out} --root {vis-yjh}/sky",
        "manifest {out} --positives {griz}/positives.parquet {griz}/positives.zarr"
        " --negatives {vis-yjh}/negatives.parquet {vis-yjh}/negatives.zarr --root /",
        "gate splits {griz}/manifest.parquet {vis-yjh}/manifest.parquet",
        "evaluate {griz}/scores.parquet {out} --against {vis-yjh}/scores.parquet",
        "train {griz}/manifest.parquet {out} --survey ls-dr10",
        "pack {griz}/npz {out} --survey ls-dr10",
    ],
    ids=lambda command: command.split()[0],
)
def test_two_surveys_in_one_command_are_refused_in_a_sentence_and_nothing_is_made(made, tmp_path, capsys, command):
    if command.startswith("pack") and not (made["griz"] / "npz").exists():
        done("export", made["griz"] / "positives.zarr", made["griz"] / "npz")
    out = tmp_path / "out.parquet"
    words = [word.format(**made, out=out) for word in command.split()]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "is of survey " in said
    assert "a command works on one survey: name inputs of one" in said
    assert not out.exists()
