"""Freezing: what it makes, and everything that makes it refuse."""

from __future__ import annotations

import io
import json
import pathlib
import shutil
import stat
import subprocess
import zipfile

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml

from lensctl.evaluate.evaluation import Choices, evaluate
from lensctl.freeze import freeze
from lensctl.frozen import layout, model_card, signature
from lensctl.frozen.gate_results import REQUIRED_GATES
from lensctl.frozen.lineage import lineage_of
from lensctl.io.provenance import digests
from lensctl.io.provenance.environment import installed_versions, source_commit
from lensctl.io.provenance.steps import Input, Step, chain_of, from_json, from_list, stamp
from lensctl.io.tables.files import read_table, write_table
from lensctl.learning.data import normalise
from lensctl.learning.networks import checkpoint, exported_program
from lensctl.learning.networks.golden import choose, keep, read_golden
from lensctl.learning.training.trained_on import Data
from lensctl.rules.errors import InputError
from lensctl.stats import thresholds
from tests.toys import frozen as frozen_toys
from tests.toys import pixels, rings
from tests.toys.frozen import content


@pytest.fixture(autouse=True, scope="module")
def _small_and_quick():
    with frozen_toys.tiny_network():
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return frozen_toys.bundle(tmp_path_factory)


@pytest.fixture
def folder(bundle, tmp_path):
    """A copy of the bundle that may be spoiled; `out` is empty."""
    for name in ("run", "evaluation"):
        shutil.copytree(bundle / name, tmp_path / name)
    shutil.copy(bundle / "gates.jsonl", tmp_path / "gates.jsonl")
    (tmp_path / "out").mkdir()
    return tmp_path


def frozen_of(folder, **options):
    return freeze(folder / "run", folder / "evaluation", [folder / "gates.jsonl"], folder / "out", **options)


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


def test_the_program_gives_any_number_of_cutouts_the_scores_they_had(bundle):
    scores = read_table(str(bundle / "scores.parquet"))
    _, cutouts = rings.manifest(len(scores))
    finder = torch.export.load(bundle / "frozen" / "model.pt2").module()
    with torch.no_grad():
        logit = finder(torch.from_numpy(cutouts.images)).numpy()
        one = finder(torch.from_numpy(cutouts.images[:1])).numpy()
    np.testing.assert_allclose(logit, scores["logit"].to_numpy(), atol=1e-5)
    np.testing.assert_allclose(one, logit[:1], atol=1e-5)


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
    assert facts["points"] == [vars(threshold) for threshold in thresholds.choose(label, logit)]
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
        with pytest.raises(InputError, match="it changed since the run was trained on it"):
            frozen_of(folder, data=Data(changed, data.root))


def test_a_store_that_changed_since_training_is_refused(bundle, folder):
    data = data_of(bundle)
    _, cutouts = rings.manifest(160)
    cutouts.images[42, 3, 3, 1] += 1.0
    pixels.make_store(folder / "s.zarr", cutouts.images, shard_rows=64)
    with pytest.raises(InputError, match=r"the pixels of .* are not those the manifest was made from"):
        frozen_of(folder, data=Data(data.manifest, folder))


def test_a_signature_is_by_the_key_and_the_rest_is_as_without_it(bundle, folder):
    private, public = frozen_toys.key_pair(folder)
    frozen_of(folder, key=signature.private_key(private))
    answer = signature.check(folder / "out", signature.public_key(public))
    assert (answer.holds, answer.covered) == (True, 9)
    assert stat.S_IMODE((folder / "out" / "model.sig").stat().st_mode) == 0o444
    signed, plain = content(folder / "out"), content(bundle / "frozen")
    assert {name for name in signed if signed[name] != plain.get(name)} == {"model.sig", "SHA256SUMS"}
    assert "model.sig" in layout.parse_sums(signed["SHA256SUMS"].decode())


def test_the_sums_are_those_that_sha256sum_checks(folder):
    private, _ = frozen_toys.key_pair(folder)
    frozen_of(folder, key=signature.private_key(private))
    done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder / "out", capture_output=True)
    assert done.returncode == 0
    assert done.stdout.count(b": OK") == 10


def test_the_model_card_is_in_the_format_of_hugging_face(bundle):
    text = (bundle / "frozen" / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["library_name"] == "pytorch"
    (result,) = facts["model-index"][0]["results"]
    assert {"type", "name"} <= set(result["dataset"])
    assert {"type"} <= set(result["task"])
    assert all({"type", "name", "value"} <= set(metric) for metric in result["metrics"])
    names = [metric["name"] for metric in facts["model-index"][0]["results"][0]["metrics"]]
    assert "tier-A recall at p = 0.5" in names
    assert "mock" not in text
    for heading in ("## Input", "## Use", "## How good it is", "## Thresholds", "## Limits"):
        assert heading in body


def test_the_card_has_words_for_each_normalisation():
    assert set(model_card.NORMALISED) == set(normalise.KINDS)


def test_the_card_of_a_model_of_a_mock_sky_says_so_first(folder):
    spoil_metrics(folder, lambda metrics: metrics.update(mock=True))
    assert frozen_of(folder).mock
    text = (folder / "out" / "README.md").read_text()
    assert "mock-data" in text
    assert text.index("mock survey") < text.index("gives each galaxy")


def spoil_metrics(folder, change):
    """Change metrics.json, and the gate line that judged it along with it."""
    metrics = frozen_toys.read_metrics(folder)
    change(metrics)
    frozen_toys.write_metrics(folder, metrics)
    frozen_toys.write_gates(folder)


def without_step(metrics, command):
    metrics["provenance"] = [step for step in metrics["provenance"] if step["command"] != command]


@pytest.mark.parametrize("command", ["pool", "sample", "cutout", "manifest", "train", "score", "evaluate"])
def test_a_chain_with_a_step_missing_is_refused(folder, command):
    spoil_metrics(folder, lambda metrics: without_step(metrics, command))
    with pytest.raises(InputError, match="provenance chain is broken"):
        frozen_of(folder)


def test_an_altered_step_is_refused(folder):
    spoil_metrics(folder, lambda metrics: metrics["provenance"][0]["parameters"].update(preset="other"))
    with pytest.raises(InputError, match="was altered"):
        frozen_of(folder)


def test_negatives_that_were_not_sampled_are_refused():
    chain = frozen_toys.chain_to_manifest()
    renamed = tuple(Step("draw", s.parameters, s.inputs) if s.command == "sample" else s for s in chain)
    with pytest.raises(InputError, match="not there"):
        lineage_of(renamed, "toy")


def test_a_copy_on_the_way_does_not_break_the_chain(bundle):
    chain = from_list(frozen_toys.read_metrics(bundle)["provenance"], "toy")
    cutout = next(step for step in chain if step.command == "cutout")
    exported = Step("export", {}, (Input("store", "s.zarr", "sha256:1", cutout.id),))
    steps = []
    renamed = {}
    for step in chain:
        inputs = tuple(
            Input(s.role, s.name, s.digest, renamed.get(s.step, s.step))
            if not (step.command == "manifest" and s.step == cutout.id)
            else Input(s.role, s.name, s.digest, exported.id)
            for s in step.inputs
        )
        again = Step(step.command, step.parameters, inputs)
        renamed[step.id] = again.id
        steps.append(again)
        if step.id == cutout.id:
            steps.append(exported)
    assert lineage_of(tuple(steps), "toy").pool.command == "pool"


def test_an_evaluation_of_other_weights_is_refused(folder):
    other = "sha256:" + "9" * 64
    spoil_metrics(folder, lambda metrics: metrics.update(model_digest=other))
    with pytest.raises(InputError, match="of other weights"):
        frozen_of(folder)


def test_weights_that_were_changed_since_are_refused(folder):
    best = folder / "run" / "best.safetensors"
    frozen_toys.flip(best, best.stat().st_size - 3, 2)
    with pytest.raises(InputError, match="weights are not those"):
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
    found = evaluate(stamp(scores, (*chain[:-1], forged)), Choices(rounds=100)).metrics
    found["model_digest"] = source.digest
    frozen_toys.write_metrics(folder, found)
    frozen_toys.write_gates(folder)
    with pytest.raises(InputError, match="made by other weights"):
        frozen_of(folder)


def test_thresholds_from_the_test_split_are_refused(folder):
    spoil_metrics(folder, lambda metrics: metrics["thresholds"].update(split="test"))
    with pytest.raises(InputError, match="chosen on split 'test'"):
        frozen_of(folder)


def test_thresholds_that_are_not_those_of_the_validation_scores_are_refused(folder):
    spoil_metrics(folder, lambda metrics: metrics["thresholds"]["points"][1].update(logit=0.25))
    with pytest.raises(InputError, match="not those of its validation scores"):
        frozen_of(folder)


def test_validation_scores_that_were_changed_are_refused(folder):
    path = folder / "evaluation" / "tables" / "val_scores.parquet"
    scores = read_table(str(path))
    write_table(scores.slice(1), str(path), overwrite=True)
    with pytest.raises(InputError, match="changed since the evaluation"):
        frozen_of(folder)


@pytest.mark.parametrize("gate", REQUIRED_GATES)
def test_a_gate_that_is_missing_failed_or_judged_something_else_is_refused(folder, gate):
    lines = frozen_toys.gate_lines(folder)
    spoiled = {
        "there is no line of it": [line for line in lines if line["gate"] != gate],
        "not passed": [{**line, "passed": line["gate"] != gate} for line in lines],
        "judged something else": [
            {**line, "input_digest": "sha256:" + "7" * 64} if line["gate"] == gate else line for line in lines
        ],
    }
    for reason, changed in spoiled.items():
        frozen_toys.write_gates(folder, changed)
        with pytest.raises(InputError, match=f"{gate}: .*{reason}|{gate}: {reason}"):
            frozen_of(folder)


def test_one_failed_check_among_passed_ones_is_a_failed_gate(folder):
    lines = frozen_toys.gate_lines(folder)
    frozen_toys.write_gates(folder, [*lines, {**lines[0], "check": "one more", "passed": False}])
    with pytest.raises(InputError, match="one more"):
        frozen_of(folder)


def test_lines_about_other_data_do_not_matter_beside_the_right_ones(folder):
    lines = frozen_toys.gate_lines(folder)
    old = [{**line, "passed": False, "input_digest": "sha256:" + "7" * 64} for line in lines]
    frozen_toys.write_gates(folder, [*old, *lines])
    assert not frozen_of(folder).allowed


def test_gates_may_be_spread_over_several_files(folder):
    lines = frozen_toys.gate_lines(folder)
    files = [frozen_toys.write_gates(folder, lines[k::3], f"g{k}.jsonl") for k in range(3)]
    freeze(folder / "run", folder / "evaluation", files, folder / "out")
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


@pytest.mark.parametrize("text", ["", "not json\n", '{"gate": "pool"}\n', '["pool"]\n', '{"passed": true}\n'])
def test_a_file_that_is_no_gates_is_refused(folder, text):
    (folder / "gates.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"gates\.jsonl"):
        frozen_of(folder)


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
    with pytest.raises(InputError, match="it has no 'model_digest'"):
        frozen_of(folder)
    (folder / "evaluation" / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"there is no metrics\.json"):
        frozen_of(folder)


def test_golden_inputs_make_up_for_a_class_with_few_rows_and_pass_over_nan():
    table, cutouts = rings.manifest(80)
    split, label = np.array(table["split"].to_pylist()), table["label"].to_numpy()
    lenses = np.flatnonzero((split == "test") & (label == 1))
    cutouts.images[lenses[2:], 12, 12] = np.nan
    chosen = choose(table, cutouts.read, 16)
    assert len(chosen.label) == 16
    assert chosen.label.sum() == 2
    assert np.isfinite(chosen.cutouts).all()
    order = np.random.default_rng(0).permutation(80)
    shuffled = choose(table.take(order), rings.InMemory(cutouts.images[order]).read, 16)
    assert sorted(shuffled.galaxy_id) == sorted(chosen.galaxy_id)


def test_nan_outside_the_crop_does_not_matter():
    table, cutouts = rings.manifest(80)
    cutouts.images[:, 0, 0] = np.nan
    assert len(choose(table, cutouts.read, 16).label) == 16


def test_without_test_rows_there_are_no_golden_inputs(tmp_path):
    table, cutouts = rings.manifest(80)
    train = table.filter(pa.array(np.array(table["split"].to_pylist()) == "train"))
    assert keep(tmp_path, train, cutouts.read, 16) is False
    assert list(tmp_path.iterdir()) == []


def test_golden_inputs_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "golden.npz", galaxy_id=np.array([{"a": 1}], dtype=object), label=[1], cutouts=[1], logits=[1])
    with pytest.raises(InputError, match="not whole golden inputs"):
        read_golden(tmp_path / "golden.npz")


def test_a_damaged_program_is_said_plainly(tmp_path):
    (tmp_path / "model.pt2").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(InputError, match=r"not a whole torch\.export program"):
        exported_program.load(tmp_path / "model.pt2")


class Touch:
    """What unpickles by making a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (pathlib.Path.touch, (self.path,))


def spoiled_program(source, target, evil):
    """A program with a pickle in one of the places where torch looks for one."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if evil["in"] in name:
                data = (
                    evil["data"] if "data" in evil else data.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
                )
            new.writestr(name, data)
        if "more" in evil:
            new.writestr(old.namelist()[0].split("/")[0] + evil["more"], evil["pickle"])


@pytest.mark.parametrize(
    "place",
    [
        {"in": "sample_inputs/"},
        {"in": "weights/weight_0", "flag": "weights_config"},
        {"in": "nowhere", "more": "/data/weights/model.pt"},
        {"in": "nowhere", "more": "/data/constants/opaque_obj_0"},
        {"in": "nowhere", "more": "/data/aotinductor/model/model.so"},
        {"in": "nowhere", "more": "/../serialized_state_dict.pt"},
    ],
    ids=["sample inputs", "a weight", "old weights", "an object", "compiled code", "the old format"],
)
def test_a_program_with_a_pickle_in_it_is_refused_before_it_runs(bundle, tmp_path, place):
    ran = tmp_path / "ran"
    buffer = io.BytesIO()
    torch.save(Touch(ran), buffer)
    evil = {**place, "data": buffer.getvalue(), "pickle": buffer.getvalue()}
    program = tmp_path / "model.pt2"
    spoiled_program(bundle / "frozen" / "model.pt2", program, evil)
    if "flag" in place:
        spoiled_program(program, tmp_path / "flagged.pt2", {"in": place["flag"]})
        program = tmp_path / "flagged.pt2"
    with pytest.raises(InputError, match="it holds more than plain tensors"):
        exported_program.load(program)
    assert not ran.exists()


def test_an_ensemble_keeps_each_member(tmp_path_factory):
    folder = frozen_toys.bundle(tmp_path_factory, members=2)
    files = content(folder / "frozen")
    assert {f"member-{k}/{name}" for k in (0, 1) for name in ("model.safetensors", "model.pt2")} < set(files)
    assert "model.pt2" not in files
    assert len(checkpoint.load_model(folder / "frozen").members) == 2
    assert read_golden(folder / "frozen" / "golden.npz").logits.shape == (16, 2)
