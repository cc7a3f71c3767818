from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, to_list
from lensctl.io.tables.files import read_table, write_table
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.networks import architectures, checkpoint
from lensctl.learning.networks.checkpoint import ModelCard
from lensctl.learning.networks.run_files import BEST, RUN, weights_digest
from tests.cli.test_train import content, make

TRAINED = (Step("train", {"seed": 0}),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A manifest, its store and a run with random weights, `run`, of 16 px."""
    folder = tmp_path_factory.mktemp("score")
    make(folder, 20)
    (folder / "run").mkdir()
    torch.manual_seed(0)
    weights = architectures.build("shielded").state_dict()
    checkpoint.save_tensors(folder / "run" / BEST, weights, {})
    card = ModelCard("shielded", 16, Normalisation("asinh"))
    facts = {"model": card.as_dict(), "provenance": to_list(TRAINED)}
    digest = weights_digest([folder / "run" / BEST])
    checkpoint.write_json(folder / "run" / RUN, {**facts, "model_digest": digest})
    return folder


def test_a_manifest_comes_back_with_scores_a_receipt_and_its_chain(here, folder):
    status, out, err = here("score", "run", "m.parquet", "one.parquet")
    assert status == 0, err
    told = json.loads(out)
    assert (told["command"], told["rows"], told["scored"], told["left_out"]) == ("score", 20, 20, 0)
    manifest, scores = (read_table(str(folder / name)) for name in ("m.parquet", "one.parquet"))
    assert scores.select(manifest.column_names).equals(manifest)
    assert scores.column_names[-4:] == ["logit", "p", "logit_0", "role"]
    chain = chain_of(scores)
    assert [step.command for step in chain] == ["cutout", "manifest", "train", "score"]
    assert chain[-1].input("manifest").digest == digests.of_table(manifest)
    assert chain[-1].input("model").digest == told["model_digest"]
    assert chain[-1].input("model").step == TRAINED[0].id


def test_the_same_command_twice_gives_the_same_bytes_and_the_batch_is_no_part_of_it(lensctl, folder):
    for name, batch in (("two.parquet", 7), ("three.parquet", 200)):
        words = ("--threads", "1", "--batch-size", batch)
        assert lensctl("score", "run", "m.parquet", name, *words, cwd=folder).returncode == 0
    assert (folder / "two.parquet").read_bytes() == (folder / "three.parquet").read_bytes()


def test_a_bare_store_is_scored_too(here, folder):
    status, _, err = here("score", "run", "s.zarr", "store.parquet")
    assert status == 0, err
    scores = read_table(str(folder / "store.parquet"))
    assert {"galaxy_id", "ra", "dec", "status", "logit", "p", "logit_0"} <= set(scores.column_names)
    manifest = read_table(str(folder / "m.parquet"))
    here("score", "run", "m.parquet", "again.parquet")
    wanted = dict(
        zip(manifest["galaxy_id"].to_pylist(), read_table(str(folder / "again.parquet"))["p"].to_pylist(), strict=True)
    )
    found = dict(zip(scores["galaxy_id"].to_pylist(), scores["p"].to_pylist(), strict=True))
    assert found.keys() == wanted.keys()
    np.testing.assert_allclose([found[id] for id in wanted], list(wanted.values()), atol=1e-5)


def test_it_works_in_a_pipe(folder):
    python = sys.executable
    done = subprocess.run(
        ["bash", "-c", f'{python} -c "{WRITE}" | {python} -m lensctl score run - - --root . > piped.arrow'],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert read_table(str(folder / "piped.arrow")).num_rows == 20
    assert json.loads(done.stderr.splitlines()[-1])["output"] == "-"


WRITE = "from lensctl.io.tables.files import read_table, write_table; write_table(read_table('m.parquet'), '-')"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "m.parquet", "x.parquet"], "nowhere: no such folder"),
        (["s.zarr", "m.parquet", "x.parquet"], "neither run.json nor frozen.json"),
        (["run", "nowhere.parquet", "x.parquet"], "no such file"),
        (["s3://bucket/run", "m.parquet", "x.parquet"], "s3://bucket/run: a model must be on local disk"),
        (["run", "m.parquet", "m.parquet"], "m.parquet exists"),
        (["run", "-", "x.parquet"], "add --root"),
        (["run", "m.parquet", "x.parquet", "--device", "gpu"], "no device 'gpu'"),
        (["run", "m.parquet", "x.parquet", "--tat"], "--tat"),
        (["run", "unwritable.parquet", "x.fits", "--device", "gpu"], "'names' has letters that FITS cannot hold"),
        (["run", "unwritable.parquet", "x.csv", "--device", "gpu"], "'lists' is list<element: int64>, which CSV"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(here, folder, arguments, message):
    table = read_table(str(folder / "m.parquet"))
    names, lists = pa.array(["Müller"] * table.num_rows), pa.array([[1, 2]] * table.num_rows)
    table = table.append_column("names", names).append_column("lists", lists)
    write_table(table, str(folder / "unwritable.parquet"), overwrite=True)
    before = content(folder)
    status, out, err = here("score", *arguments)
    assert status == 2, err
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert content(folder) == before


def test_scores_of_a_store_name_its_cutouts_so_that_they_can_be_drawn_and_ranked(here, folder):
    status, _, err = here("score", "run", "s.zarr", "of_store.parquet")
    assert status == 0, err
    scores = read_table(str(folder / "of_store.parquet"))
    assert set(scores["cutout_path"].to_pylist()) == {"s.zarr"}
    assert scores["cutout_index"].to_pylist() == list(range(scores.num_rows))
    status, out, err = here(
        "show", "of_store.parquet", "--order", "logit DESC", "--montage", "top.png", "--n", 4, "--overwrite"
    )
    assert status == 0, err
    assert json.loads(out)["cutouts"] == 4
    status, out, err = here("evaluate", "of_store.parquet", "ranked", "--overwrite")
    assert status == 0, err
    told = json.loads(out)
    assert (told["labels"], told["ranked"], told["pictures"]) == (False, 20, 20)
    assert "the scores have no labels" in err
    ranked = read_table(str(folder / "ranked" / "tables" / "ranking.parquet"))
    assert ranked["logit"].to_pylist() == sorted(scores["logit"].to_pylist(), reverse=True)


def test_scores_of_a_store_elsewhere_name_no_cutouts_and_it_is_said(here, folder, tmp_path):
    status, _, err = here("score", "run", "s.zarr", tmp_path / "away.parquet")
    assert status == 0, err
    assert "the scores name no cutouts" in err
    assert "add --root with a folder that holds the store" in err
    assert "cutout_path" not in read_table(str(tmp_path / "away.parquet")).column_names
    status, _, err = here("score", "run", "s.zarr", tmp_path / "named.parquet", "--root", ".")
    assert status == 0, err
    assert set(read_table(str(tmp_path / "named.parquet"))["cutout_path"].to_pylist()) == {"s.zarr"}


def test_a_table_is_scored_from_coadds_as_from_a_store_of_them(here, folder):
    from tests.toys import searches

    (folder / "survey").mkdir()
    searches.make(folder / "survey")
    status, out, err = here(
        "score", "run", "survey/t.parquet", "streamed.parquet", "--source", "coadd", "--root", "survey/sky",
        "--workers", 1, "--device", "cpu",
    )  # fmt: skip
    assert status == 0, err
    told = json.loads(out)
    here("cutout", "survey/t.parquet", "t.zarr", "--root", "survey/sky", "--workers", 1, "--max-failed", 1)
    here("score", "run", "t.zarr", "kept.parquet", "--device", "cpu")
    given, streamed, kept = (
        read_table(str(folder / name)) for name in ("survey/t.parquet", "streamed.parquet", "kept.parquet")
    )
    assert streamed["galaxy_id"].to_pylist() == given["galaxy_id"].to_pylist()  # in the order of the table
    assert set(given.column_names) | {"status", "error", "logit", "p", "logit_0"} == set(streamed.column_names)
    wanted = dict(zip(kept["galaxy_id"].to_pylist(), kept["logit"].to_pylist(), strict=True))
    for row in streamed.to_pylist():
        other = wanted[row["galaxy_id"]]
        assert (row["logit"] is None) == (other is None)
        assert other is None or abs(row["logit"] - other) < 1e-4
    assert told["scored"] == sum(logit is not None for logit in wanted.values())
    step = chain_of(streamed)[-1]
    assert step.parameters["root"] == "sky"
    assert str(folder) not in json.dumps(step.as_dict())


def test_a_table_of_another_release_is_not_scored_from_coadds(here, folder, monkeypatch):
    from lensctl.score import inputs
    from tests.toys import searches

    (folder / "older").mkdir()
    searches.make(folder / "older")
    rows = read_table(str(folder / "older" / "t.parquet"))
    write_table(rows.append_column("release", pa.array([9010] * rows.num_rows)), str(folder / "older" / "dr9.parquet"))
    monkeypatch.setattr(inputs, "releases_of", lambda layers: ("DR10",))
    line = ("score", "run", "older/dr9.parquet", "no.parquet", "--source", "coadd", "--root", "older/sky")
    status, out, err = here(*line, "--workers", 1, "--device", "cpu")
    assert (status, out) == (2, "")
    assert "older/dr9.parquet: rows of DR9, the model was trained on DR10" in err
    assert not (folder / "no.parquet").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--source", "viewer", "--root", "survey"], "no source 'viewer' to score from"),
        (["--source", "coadd"], "no folder of coadds is given"),
        (["--source", "coadd", "--root", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_table_that_cannot_be_scored_from_coadds_is_refused(here, folder, more, message):
    status, out, err = here("score", "run", "m.parquet", "x.parquet", *more)
    assert (status, out) == (2, "")
    assert message in err
