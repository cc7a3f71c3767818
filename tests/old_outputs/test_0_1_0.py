"""What lensctl 0.1.0 wrote stays readable, and the same inputs still give the same values.

The archive holds a whole small pipeline, made by `make_0_1_0.sh` with that version. Provenance, names in zarr.json and
wording may change; columns, values, order of rows, pixels, logits and weights may not.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from safetensors.numpy import load_file

from lensctl.rules.split import SPLITS

ARCHIVE = Path(__file__).with_name("lensctl-0.1.0.tar.xz")
LOGIT_TOLERANCE = 1e-3  # as for golden logits: other processors round otherwise
FIT_TOLERANCE = 1e-8
"""Of calibrated p: where an optimiser stops differs by 6e-10 between processors."""
DECIDES = ("gate", "passed", "limit", "n")
REPLACED = {
    "no object within 1 arcsec in two splits": "no two rows within 1 arcsec",
    "tier fits the label: A, B for 1, N1, N2 for 0": "tier fits the label: A, B for 1, N0, N1, N2 for 0",
}
"""Checks that now have another name, and see more."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of 0.1.0, not to be changed."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="tar")  # keeps the modes: a frozen model is read-only
    return folder


def done(run, *args: object) -> str:
    """Stdout of a command that ended with 0."""
    found = run(*args)
    assert found.returncode == 0, found.stderr
    return found.stdout


SINCE = ("role",)
"""Columns of tables that 0.1.0 did not write."""


def same_table(path: Path, expected: Path, *, but: tuple[str, ...] = ()) -> None:
    """Columns, types, values and order of rows; `but` are columns that are compared elsewhere."""
    ours, theirs = pq.read_table(path), pq.read_table(expected)
    ours = ours.drop_columns([name for name in SINCE if name in ours.column_names and name not in theirs.column_names])
    assert ours.column_names == theirs.column_names
    assert ours.schema.remove_metadata().equals(theirs.schema.remove_metadata())
    for name in set(ours.column_names) - set(but):
        assert ours[name].equals(theirs[name]) or _close(ours[name], theirs[name]), name


def _close(ours: pa.ChunkedArray, theirs: pa.ChunkedArray, rtol: float = 1e-13) -> bool:
    """Whether numbers are the same but for their last bits, which processors round differently; NaN like NaN."""
    if not pa.types.is_floating(ours.type) or ours.is_null().to_pylist() != theirs.is_null().to_pylist():
        return False
    return np.allclose(ours.to_numpy(), theirs.to_numpy(), rtol=rtol, atol=0, equal_nan=True)


def images(store: Path) -> np.ndarray:
    return np.asarray(zarr.open_group(store, mode="r")["images"])


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_same_negatives_are_drawn_from_its_pool(lensctl, old, tmp_path):
    options = ("--negatives-per-positive", 2, "--lenses", old / "sky" / "lenses.csv")
    bins = ("--stratification-bins", "nobs_z=3-5,6-10", "--stratification-bins", "type=SER,DEV,REX")
    drawn = tmp_path / "negatives.parquet"
    done(lensctl, "sample", old / "pool.parquet", drawn, "--positives", old / "positives.parquet", *options, *bins)
    same_table(drawn, old / "negatives.parquet")


def test_its_tables_and_stores_make_the_same_manifest(lensctl, old):
    made = old / "manifest-again.parquet"
    positives, negatives = ((old / f"{name}.parquet", old / f"{name}.zarr") for name in ("positives", "negatives"))
    done(lensctl, "manifest", made, "--positives", *positives, "--negatives", *negatives)
    same_table(made, old / "manifest.parquet")


def test_its_cutouts_are_read_pixel_by_pixel_from_store_and_npz(lensctl, old, tmp_path):
    done(lensctl, "pack", old / "npz", tmp_path / "packed.zarr")
    done(lensctl, "export", old / "positives.zarr", tmp_path / "npz")
    there = images(old / "positives.zarr")
    assert there.shape == (59, 51, 51, 3)
    assert np.array_equal(images(tmp_path / "packed.zarr"), there, equal_nan=True)
    for file in sorted((old / "npz").iterdir()):
        ours, theirs = (np.load(folder / file.name, allow_pickle=True) for folder in (tmp_path / "npz", old / "npz"))
        assert set(ours.files) == set(theirs.files)
        for key in set(theirs.files) - {"meta_lensctl_provenance"}:
            assert np.array_equal(ours[key], theirs[key], equal_nan=theirs[key].dtype.kind == "f"), key


def test_its_sync_ledger_still_says_what_was_copied(lensctl, old):
    for option in ((), ("--verify",)):
        receipt = json.loads(done(lensctl, "sync", old / "positives.zarr", old / "copied.zarr", *option))
        assert (receipt["objects"], receipt["copied"], receipt.get("corrupt", 0)) == (10, 0, 0)


@pytest.mark.parametrize(
    "gates", [("pool", "pool.parquet"), ("splits,overlap,homogeneity,weights", "manifest.parquet")]
)
def test_the_gates_say_of_it_what_they_said(lensctl, old, gates):
    names, judged = gates
    said = lensctl("gate", names, old / judged, "--set", "pool.min_rows=100")
    before = lines((old / f"{Path(judged).stem}.jsonl").read_text())
    before = [line for line in before if line["gate"] in names.split(",")]
    found = lines(said.stdout)
    assert said.returncode == (0 if all(line["passed"] for line in found) else 1)
    assert {line["input_digest"] for line in found} == {line["input_digest"] for line in before}
    ours = {(line["gate"], line["check"]): line for line in found}
    for line in before:
        now = ours[line["gate"], REPLACED.get(line["check"], line["check"])]
        by_interval = line["check"].split(" share")[0] in SPLITS  # since then over pixels, and not by the value
        keys = ("value", "n") if by_interval else DECIDES
        assert [now[key] for key in keys] == [line[key] for key in keys], line["check"]


def test_its_run_scores_as_it_did(lensctl, old, tmp_path):
    for model in ("run", "frozen"):
        scores = tmp_path / f"{model}.parquet"
        done(lensctl, "score", old / model, old / "manifest.parquet", scores, "--threads", 1)
        same_table(scores, old / "scores.parquet", but=("logit", "p", "logit_0"))
        ours, theirs = (pq.read_table(path)["logit"].to_numpy() for path in (scores, old / "scores.parquet"))
        np.testing.assert_allclose(ours, theirs, atol=LOGIT_TOLERANCE)


def test_the_same_manifest_trains_the_same_network(lensctl, old, tmp_path):
    recipe = json.loads((old / "run" / "run.json").read_text())["config"]
    words = [f"--{name.replace('_', '-')}={recipe[name]}" for name in ("arch", "crop", "shift", "epochs", "batch_size")]
    done(lensctl, "train", old / "manifest.parquet", tmp_path / "run", "--recipe=plan", *words, "--threads", 1)
    ours, theirs = (load_file(folder / "run" / "best.safetensors") for folder in (tmp_path, old))
    assert set(ours) == set(theirs)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], atol=2e-3, err_msg=name)


def test_its_scores_evaluate_to_the_same_figures(lensctl, old, tmp_path):
    done(lensctl, "evaluate", old / "scores.parquet", tmp_path / "evaluation", "--rounds", 100)
    ours, theirs = (json.loads((f / "evaluation" / "metrics.json").read_text()) for f in (tmp_path, old))
    for name, figure in theirs["headline"].items():
        if name == "fpr_by_category":
            assert {category: rate["value"] for category, rate in figure.items()} == {
                category: rate["value"] for category, rate in ours["headline"][name].items()
            }
        elif isinstance(figure, dict):  # intervals are others, see the changelog
            assert [ours["headline"][name][key] for key in ("value", "n")] == [figure["value"], figure["n"]], name
        else:
            assert ours["headline"][name] == figure, name
    for table in sorted((old / "evaluation" / "tables").glob("*.parquet")):
        if table.stem not in ("levels", "thresholds"):  # judged and chosen by other rules
            new = tmp_path / "evaluation" / "tables" / table.name
            rtol = FIT_TOLERANCE if table.stem == "reliability" else 1e-13
            same_values(new, table, but=("_low", "_high", "_few"), rtol=rtol)


def same_values(path: Path, expected: Path, but: tuple[str, ...], rtol: float) -> None:
    """Columns of the older table, but for those of intervals, stand unchanged in the newer one, row by row."""
    ours, theirs = pq.read_table(path), pq.read_table(expected)
    for name in (name for name in theirs.column_names if not name.endswith(but)):
        assert ours[name].equals(theirs[name]) or _close(ours[name], theirs[name], rtol), name


def test_its_thresholds_are_given_by_the_rule_of_today(lensctl, old, tmp_path):
    """Its frozen model had a threshold for FPR 1e-4 from a handful of negatives."""
    for given in ("frozen", "evaluation"):
        out = tmp_path / given
        done(lensctl, "evaluate", old / "scores.parquet", out, "--thresholds", old / given, "--rounds", 100)
        metrics = json.loads((out / "metrics.json").read_text())
        assert (metrics["judged"], metrics["thresholds"]["given_by"]) == ("split test", given)
        (unresolved,) = [point for point in metrics["thresholds"]["points"] if point["target_fpr"] == 1e-4]
        assert unresolved["logit"] is None
    found = lensctl(
        "evaluate", old / "scores.parquet", out, "--all-rows", "--thresholds", old / "frozen", "--overwrite"
    )
    assert found.returncode == 2
    assert "--all-rows would judge the manifest that the model was trained on, manifest.parquet" in found.stderr


def test_its_run_keeps_no_val_scores_and_the_refusal_says_so(lensctl, old, tmp_path):
    found = lensctl("evaluate", old / "scores.parquet", tmp_path / "out", "--all-rows", "--thresholds", old / "run")
    assert found.returncode == 2
    assert "this run, made by an older version or not finished, keeps no val scores" in found.stderr
    assert "name its evaluation or its frozen model" in found.stderr


def test_its_frozen_model_verifies_and_its_run_freezes_by_gates_run_again(lensctl, old, tmp_path):
    assert all(line["passed"] for line in lines(done(lensctl, "verify", old / "frozen")))
    evidence = [word for name in ("pool", "manifest", "trained") for word in ("--gates", tmp_path / f"{name}.jsonl")]
    frozen, evaluation = tmp_path / "frozen", old / "evaluation"
    why = ("--allow-failed", "a handful of mock galaxies", "--manifest", old / "manifest.parquet")
    of_old = [old / word.name if isinstance(word, Path) else word for word in evidence]
    refused = lensctl("freeze", old / "run", frozen, "--evaluation", evaluation, *of_old, *why)
    assert refused.returncode == 2
    assert "gates judge more than when these lines were written: pool, splits, overlap" in refused.stderr
    for name, gates, judged in (
        ("pool", "pool", old / "pool.parquet"),
        ("manifest", "splits,overlap,pixels,homogeneity,weights,shortcut", old / "manifest.parquet"),
        ("trained", "trained", evaluation),
    ):
        again = lensctl("gate", gates, judged)
        assert again.returncode in (0, 1), again.stderr
        (tmp_path / f"{name}.jsonl").write_text(again.stdout)
    done(lensctl, "freeze", old / "run", frozen, "--evaluation", evaluation, *evidence, *why)
    assert all(line["passed"] for line in lines(done(lensctl, "verify", frozen)))
    facts = [json.loads((folder / "frozen.json").read_text()) for folder in (frozen, old / "frozen")]
    assert [fact["format"] for fact in facts] == [1, 1]  # that of the evaluation
    points = [json.loads((folder / "thresholds.json").read_text())["points"] for folder in (frozen, old / "frozen")]
    assert points[0] == points[1]
    assert (frozen / "model.safetensors").read_bytes() == (old / "frozen" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["pool.parquet", "positives.zarr", "npz", "run", "evaluation", "frozen", "pool.jsonl"])
def test_show_says_what_each_is(lensctl, old, name):
    assert done(lensctl, "show", old / name, "--json")
