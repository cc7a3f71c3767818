"""Freezing: what it makes, and everything that makes it refuse."""

from __future__ import annotations

import json
import stat

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.freeze.folder import fill
from lensctl.frozen import layout, signature, snapshot
from lensctl.frozen.gate_results import REQUIRED_GATES
from lensctl.io.provenance import digests
from lensctl.io.provenance.environment import installed_versions, source_commit
from lensctl.io.provenance.steps import Input, Step, chain_of, from_json, stamp
from lensctl.io.tables.files import read_table, write_table
from lensctl.learning.networks import checkpoint
from lensctl.learning.networks.golden import read_golden
from lensctl.learning.training.trained_on import Data
from lensctl.rules.errors import InputError
from lensctl.stats import thresholds
from tests.toys import frozen as frozen_toys
from tests.toys import pixels, rings
from tests.toys.freezing import copy_of, frozen_of, spoil_metrics
from tests.toys.frozen import content

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def folder(bundle, tmp_path):
    """A copy of the bundle that may be spoiled; `out` is empty."""
    (tmp_path / "out").mkdir()
    return copy_of(bundle, tmp_path, "run", "evaluation")


def test_it_holds_what_is_promised_read_only_and_nothing_else(bundle):
    files = content(bundle / "frozen")
    assert sorted(files) == sorted(
        [
            "model.safetensors",
            "model.pt2",
            "frozen.json",
            "thresholds.json",
            "metrics.json",
            "provenance.json",
            "gates.jsonl",
            "golden.npz",
            "README.md",
            "SHA256SUMS",
        ]
    )
    for name in files:
        assert stat.S_IMODE((bundle / "frozen" / name).stat().st_mode) == 0o444
    assert files["SHA256SUMS"].decode() == layout.sums_of(bundle / "frozen", sorted(set(files) - {"SHA256SUMS"}))


def test_the_same_run_frozen_twice_gives_the_same_bytes(bundle, folder):
    frozen_of(folder)
    assert content(folder / "out") == content(bundle / "frozen")


def test_nothing_in_it_tells_of_this_machine(bundle):
    for name, data in content(bundle / "frozen").items():
        for trace in (str(bundle).encode(), b"site-packages", b"lensctl/learning/"):
            assert trace not in data, name


def test_the_weights_are_the_runs_best_and_load_as_a_model(bundle):
    run = json.loads((bundle / "run" / "run.json").read_text())
    facts = json.loads((bundle / "frozen" / "frozen.json").read_text())
    assert facts["model"] == run["model"]
    assert facts["model_digest"] == run["model_digest"] == digests.of_file(bundle / "frozen" / "model.safetensors")
    model = checkpoint.load_model(bundle / "frozen")
    assert model.digest == run["model_digest"]
    assert [step.command for step in model.chain][-4:] == ["train", "score", "evaluate", "freeze"]


def test_golden_inputs_are_held_out_half_of_them_lenses(bundle):
    kept = read_golden(bundle / "frozen" / "golden.npz")
    scores = {row["galaxy_id"]: row for row in read_table(str(bundle / "scores.parquet")).to_pylist()}
    assert len(kept.galaxy_id) == 16
    assert kept.label.sum() == 8
    for name, label, logit in zip(kept.galaxy_id, kept.label, kept.logits[:, 0], strict=True):
        row = scores[str(name)]
        assert (row["split"], row["label"]) == ("test", label)
        assert row["logit"] == pytest.approx(logit, abs=1e-5)


def test_thresholds_come_with_the_scores_they_were_chosen_from(bundle):
    facts = json.loads((bundle / "frozen" / "thresholds.json").read_text())
    scores = read_table(str(bundle / "scores.parquet"))
    val = np.array(scores["split"].to_pylist()) == "val"
    label, logit = scores["label"].to_numpy()[val], scores["logit"].to_numpy()[val]
    metrics = json.loads((bundle / "evaluation" / "metrics.json").read_text())
    kept = [
        {"fpr_low": point["val"]["fpr"]["low"], "fpr_high": point["val"]["fpr"]["high"], "text": point["text"]}
        for point in metrics["thresholds"]["points"]
    ]
    chosen = thresholds.choose(label, logit)
    assert facts["points"] == [{**vars(threshold), **rate} for threshold, rate in zip(chosen, kept, strict=True)]
    assert facts["points"][-1]["text"] == "0 of 23: below 0.12 at 95 %"
    assert facts["points"][-1]["fpr_high"] > 0.12
    assert json.loads((bundle / "frozen" / "frozen.json").read_text())["format"] == 2
    for name, kind in (("lenses", 1), ("others", 0)):
        kept = thresholds.unpack(facts["val_scores"][name], "toy")
        np.testing.assert_array_equal(kept, np.sort(logit[label == kind]))


def test_frozen_json_tells_what_it_was_made_of_and_with(bundle, folder):
    frozen_of(folder, data=data_of(bundle))
    run = json.loads((folder / "run" / "run.json").read_text())
    facts = json.loads((folder / "out" / "frozen.json").read_text())
    assert facts["config"] == run["config"]
    assert facts["model"]["normalisation"]["kind"] == run["config"]["normalise"]
    assert facts["model"]["crop"] == run["config"]["crop"]
    assert facts["manifest_digest"] == digests.of_table(read_table(str(bundle / "manifest.parquet")))
    assert set(facts["made_from"]) == {"positives", "positives cutouts", "negatives", "negatives cutouts"}
    assert {name: split["rows"] for name, split in facts["splits"].items()} == {"test": 40, "train": 80, "val": 40}
    assert facts["source"]["frozen"] == source_commit()
    assert facts["versions"]["trained"] == run["versions"]
    assert facts["environment"] == installed_versions()
    assert facts["computed_on"] == run["computed_on"]


def data_of(folder):
    """The manifest of a bundle, as `freeze --manifest` reads it."""
    return Data(read_table(str(folder / "manifest.parquet")), folder)


def test_manifest_and_cutouts_that_are_as_they_were_are_recorded_as_compared(bundle, folder):
    seen = []
    frozen_of(folder, data=data_of(bundle), advance=seen.append)
    assert sum(seen) == 160
    for made, compared in ((folder / "out", True), (bundle / "frozen", False)):
        steps = from_json((made / "provenance.json").read_bytes(), "toy")
        assert steps[-1].parameters["manifest_compared"] is compared
        assert (json.loads((made / "frozen.json").read_text())["splits"] is not None) is compared


def test_a_manifest_that_changed_since_training_is_refused(bundle, folder):
    data = data_of(bundle)
    for changed in (data.manifest.slice(1), rings.changed(data.manifest, "sample_weight", 0, 0.123)):
        with pytest.raises(InputError, match="changed since training"):
            frozen_of(folder, data=Data(changed, data.root))


def test_a_store_that_changed_since_training_is_refused(bundle, folder):
    data = data_of(bundle)
    _, cutouts = rings.manifest(160)
    cutouts.images[42, 3, 3, 1] += 1.0
    pixels.make_store(folder / "s.zarr", cutouts.images, shard_rows=64)
    with pytest.raises(InputError, match=r"the pixels of .* are not those recorded for it"):
        frozen_of(folder, data=Data(data.manifest, folder))


def test_a_signature_is_by_the_key_and_the_rest_is_as_without_it(bundle, folder):
    private, public = frozen_toys.key_pair(folder)
    frozen_of(folder, key=signature.private_key(private))
    answer = signature.check(snapshot.take(folder / "out"), signature.public_key(public))
    assert (answer.holds, answer.covered) == (True, 9)
    assert stat.S_IMODE((folder / "out" / "model.sig").stat().st_mode) == 0o444
    signed, plain = content(folder / "out"), content(bundle / "frozen")
    assert {name for name in signed if signed[name] != plain.get(name)} == {"model.sig", "SHA256SUMS"}
    assert "model.sig" in layout.parse_sums(signed["SHA256SUMS"].decode())


def test_an_evaluation_by_thresholds_of_another_model_is_refused(folder):
    spoil_metrics(folder, lambda metrics: metrics["thresholds"].update(given_by="frozen"))
    with pytest.raises(InputError, match="its thresholds were given by frozen, not chosen on val"):
        frozen_of(folder)


def test_an_altered_step_is_refused(folder):
    spoil_metrics(folder, lambda metrics: metrics["provenance"][0]["parameters"].update(preset="other"))
    with pytest.raises(InputError, match="was altered"):
        frozen_of(folder)


def test_an_evaluation_of_other_weights_is_refused(folder):
    other = "sha256:" + "9" * 64
    spoil_metrics(folder, lambda metrics: metrics.update(model_digest=other))
    with pytest.raises(InputError, match="of other weights"):
        frozen_of(folder)


def test_weights_that_were_changed_since_are_refused(folder):
    best = folder / "run" / "best.safetensors"
    frozen_toys.flip(best, best.stat().st_size - 3, 2)
    with pytest.raises(InputError, match="weights do not match the digest"):
        frozen_of(folder)


def test_an_evaluation_on_another_manifest_is_refused(folder):
    spoil_metrics(folder, lambda metrics: metrics.update(manifest_digest="sha256:" + "9" * 64))
    with pytest.raises(InputError, match="of another manifest"):
        frozen_of(folder)


def test_a_manifest_that_changed_between_training_and_scoring_is_refused(bundle, folder):
    manifest = read_table(str(bundle / "manifest.parquet"))
    shorter = manifest.filter(pa.array(np.array(manifest["split"].to_pylist()) != "train"))
    _, cutouts = rings.manifest(len(manifest))
    rows = np.flatnonzero(np.array(manifest["split"].to_pylist()) != "train")
    scores = frozen_toys.scored(folder, shorter, rings.InMemory(cutouts.images[rows]))
    frozen_toys.write_evaluation(folder, scores)
    frozen_toys.write_gates(folder)
    with pytest.raises(InputError, match="of another manifest"):
        frozen_of(folder)


def test_scores_of_another_run_are_refused(bundle, folder):
    """The metrics claim the run's digests, but their chain tells of other weights."""
    scores = read_table(str(bundle / "scores.parquet"))
    chain = chain_of(scores)
    score = chain[-1]
    source = score.input("model")
    other = Input("model", "run", "sha256:" + "8" * 64, source.step)
    forged = Step("score", score.parameters, (other, score.input("manifest")))
    found = evaluation_of(stamp(scores, (*chain[:-1], forged)), Choices(rounds=100)).metrics
    found["model_digest"] = source.digest
    frozen_toys.write_metrics(folder, found)
    frozen_toys.write_gates(folder)
    with pytest.raises(InputError, match="from other weights"):
        frozen_of(folder)


def test_thresholds_from_the_test_split_are_refused(folder):
    spoil_metrics(folder, lambda metrics: metrics["thresholds"].update(split="test"))
    with pytest.raises(InputError, match="chosen on split 'test'"):
        frozen_of(folder)


def test_thresholds_that_are_not_those_of_the_validation_scores_are_refused(folder):
    spoil_metrics(folder, lambda metrics: metrics["thresholds"]["points"][1].update(logit=0.25))
    with pytest.raises(InputError, match="do not match the validation scores"):
        frozen_of(folder)


def test_validation_scores_that_were_changed_are_refused(folder):
    path = folder / "evaluation" / "tables" / "val_scores.parquet"
    scores = read_table(str(path))
    write_table(scores.slice(1), str(path), overwrite=True)
    with pytest.raises(InputError, match="modified since the evaluation"):
        frozen_of(folder)


def test_gates_may_be_spread_over_several_files(folder):
    lines = frozen_toys.gate_lines(folder)
    files = [frozen_toys.write_gates(folder, lines[k::3], f"g{k}.jsonl") for k in range(3)]
    fill(folder / "run", folder / "evaluation", files, folder / "out")
    kept = (folder / "out" / "gates.jsonl").read_text().splitlines()
    assert [json.loads(line)["gate"] for line in kept] == list(REQUIRED_GATES)


def test_a_failed_gate_may_be_let_pass_and_the_reason_stays(folder):
    lines = [{**line, "passed": line["gate"] != "shortcut"} for line in frozen_toys.gate_lines(folder)]
    frozen_toys.write_gates(folder, lines)
    made = frozen_of(folder, allow_failed="known: the toy has a shortcut")
    assert made.allowed == ("shortcut: not passed (all well)",)
    facts = json.loads((folder / "out" / "frozen.json").read_text())
    assert facts["allowed_failures"] == {"reason": "known: the toy has a shortcut", "gates": list(made.allowed)}
    assert "known: the toy has a shortcut" in (folder / "out" / "README.md").read_text()
    steps = from_json((folder / "out" / "provenance.json").read_bytes(), "toy")
    assert steps[-1].parameters["allow_failed"] == "known: the toy has a shortcut"


def test_a_reason_without_need_is_not_recorded(folder):
    assert frozen_of(folder, allow_failed="just in case").allowed == ()
    assert json.loads((folder / "out" / "frozen.json").read_text())["allowed_failures"] is None


def test_a_run_that_has_not_finished_is_refused(folder):
    path = folder / "run" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "stopped": None}))
    with pytest.raises(InputError, match="not a finished run"):
        frozen_of(folder)


def test_a_run_without_golden_inputs_is_refused(folder):
    (folder / "run" / "golden.npz").unlink()
    with pytest.raises(InputError, match="no such file"):
        frozen_of(folder)


def test_a_folder_that_is_no_evaluation_is_refused(folder):
    (folder / "evaluation" / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="'model_digest' is missing"):
        frozen_of(folder)
    (folder / "evaluation" / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"no metrics\.json"):
        frozen_of(folder)


def test_an_ensemble_keeps_each_member(tmp_path_factory):
    folder = frozen_toys.bundle(tmp_path_factory, members=2)
    files = content(folder / "frozen")
    assert {f"member-{k}/{name}" for k in (0, 1) for name in ("model.safetensors", "model.pt2")} < set(files)
    assert "model.pt2" not in files
    assert len(checkpoint.load_model(folder / "frozen").members) == 2
    assert read_golden(folder / "frozen" / "golden.npz").logits.shape == (16, 2)
