"""Files of weights and runs: they come back as they were, and a damaged or foreign one is refused, never unpickled."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, to_list
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.networks import architectures, checkpoint
from lensctl.learning.networks.checkpoint import FROZEN, FROZEN_WEIGHTS, ModelCard, load_model
from lensctl.learning.networks.run_files import BEST, RUN, member_folders, weights_digest
from lensctl.rules.errors import InputError

CARD = ModelCard("shielded", 16, Normalisation("bands", mean=(0.0, 0.1, 0.2), std=(1.0, 1.0, 2.0)), fold="1/5")
CHAIN = (Step("train", {"seed": 1}),)


def network(seed: int = 0, arch: str = "shielded") -> torch.nn.Module:
    torch.manual_seed(seed)
    return architectures.build(arch)


def run_folder(path: Path, members: int = 1) -> Path:
    """A run's folder, or a small ensemble's, with random weights."""
    for k, folder in enumerate(member_folders(path, members)):
        folder.mkdir(parents=True)
        checkpoint.save_tensors(folder / BEST, network(k).state_dict(), {"epoch": 1})
    files = [folder / BEST for folder in member_folders(path, members)]
    facts = {
        "model": replace(CARD, members=members).as_dict(),
        "model_digest": weights_digest(files),
        "provenance": to_list(CHAIN),
    }
    checkpoint.write_json(path / RUN, facts)
    return path


def weights(model: torch.nn.Module) -> dict[str, bytes]:
    return {name: tensor.contiguous().numpy().tobytes() for name, tensor in model.state_dict().items()}


def test_tensors_and_facts_come_back_and_the_same_gives_the_same_bytes(tmp_path):
    tensors, facts = network().state_dict(), {"b": [1, 0.1], "a": {"é": None}}
    for name in ("one", "two"):
        checkpoint.save_tensors(tmp_path / name, tensors, facts)
    back, told = checkpoint.load_tensors(tmp_path / "one")
    assert told == facts
    assert set(back) == set(tensors)
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_others_may_read_what_was_written(tmp_path):
    checkpoint.save_tensors(tmp_path / "w", {"a": torch.zeros(1)}, {})
    (tmp_path / "plain").touch()
    assert (tmp_path / "w").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("keep", [0, 4, 200, -1])
def test_a_damaged_file_of_weights_is_refused(tmp_path, keep):
    path = run_folder(tmp_path / "run") / BEST
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"best\.safetensors: invalid safetensors file"):
        load_model(tmp_path / "run")


def test_changed_weights_are_refused(tmp_path):
    path = run_folder(tmp_path / "run") / BEST
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="do not match the digest in run.json"):
        load_model(tmp_path / "run")


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = run_folder(tmp_path / "run") / BEST
    checkpoint.save_tensors(path, network(arch="shielded_194k").state_dict(), {})
    with pytest.raises(InputError, match="another architecture"):
        load_model(tmp_path / "run")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({}, "no 'model' block"),
        ({"model": {}}, "invalid 'model' block"),
        ({"model": {**CARD.as_dict(), "arch": "resnet99"}}, "no architecture 'resnet99'"),
        ({"model": {**CARD.as_dict(), "normalisation": {"kind": "zscale"}}}, "normalisation"),
        ({"model": CARD.as_dict(), "provenance": [{"command": "train"}]}, "provenance"),
        ([], "no 'model' block"),
        *(
            ({"model": {**CARD.as_dict(), name: value}}, "'model' block|bands 1|values that are no numbers|no survey")
            for name, value in (
                ("members", 0),
                ("members", 1 << 60),
                ("members", 1.5),
                ("crop", "x"),
                ("crop", None),
                ("dropout", [1]),
                ("bands", [1]),
                ("bands", None),
                ("layers", 3),
                ("fold", 7),
                ("survey", ["x"]),
                ("arch", {}),
                ("normalisation", {"kind": "bands", "mean": ["x"], "std": [1.0]}),
                ("normalisation", []),
            )
        ),
    ],
)
def test_a_run_json_that_is_none_is_refused(tmp_path, facts, message):
    run_folder(tmp_path / "run")
    (tmp_path / "run" / RUN).write_text(json.dumps(facts))
    with pytest.raises(InputError, match=message):
        load_model(tmp_path / "run")


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"neither run\.json nor frozen\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize("members", [1, 3])
def test_a_run_loads_with_all_it_needs_to_score(tmp_path, members):
    model = load_model(run_folder(tmp_path / "run", members))
    assert [weights(member) for member in model.members] == [weights(network(k)) for k in range(members)]
    assert model.card == replace(CARD, members=members)
    assert model.chain == CHAIN
    assert not any(member.training for member in model.members)
    first = digests.of_file(member_folders(tmp_path / "run", members)[0] / BEST)
    assert (model.digest == first) == (members == 1)


@pytest.mark.parametrize("members", [1, 2])
def test_a_frozen_model_loads_as_the_run_it_came_from(tmp_path, members):
    run = run_folder(tmp_path / "run", members)
    frozen = tmp_path / "frozen"
    for old, new in zip(*(member_folders(f, members) for f in (run, frozen)), strict=True):
        new.mkdir(parents=True)
        (new / FROZEN_WEIGHTS).write_bytes((old / BEST).read_bytes())
    facts = json.loads((run / RUN).read_text())
    checkpoint.write_json(frozen / FROZEN, {"model": facts["model"], "model_digest": facts["model_digest"]})
    checkpoint.write_json(frozen / "provenance.json", facts["provenance"])
    one, other = load_model(run), load_model(frozen)
    assert (one.card, one.digest, one.chain) == (other.card, other.digest, other.chain)


def test_with_no_room_on_the_disk_the_checkpoint_before_stays(tmp_path, monkeypatch):
    path = tmp_path / "last.safetensors"
    checkpoint.save_tensors(path, {"a": torch.zeros(1)}, {"epoch": 1})

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        checkpoint.save_tensors(path, {"a": torch.ones(1)}, {"epoch": 2})
    assert checkpoint.load_tensors(path)[1] == {"epoch": 1}
    assert os.listdir(tmp_path) == ["last.safetensors"]


def test_metrics_are_lines_of_json_and_a_table(tmp_path):
    checkpoint.write_metrics(tmp_path, [{"epoch": 1, "val_auc": 0.5}, {"epoch": 2, "val_auc": None}])
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 1, "val_auc": 0.5}\n{"epoch": 2, "val_auc": null}\n'
    assert (tmp_path / "metrics.csv").read_text() == "epoch,val_auc\n1,0.5\n2,\n"
