"""Initial weights: read safely, adapted in the first and last layer alone, with what they were trained on."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from lensctl.learning.networks import architectures, checkpoint, initial_weights
from lensctl.learning.networks.architectures import build, first_weight, head_weights
from lensctl.learning.networks.initial_weights import Initial, initialise, origin_of, refuse_known_lenses
from lensctl.learning.networks.run_files import BEST, RUN, weights_digest
from lensctl.rules.errors import InputError
from tests.toys import rings


def network(seed: int = 0, arch: str = "shielded") -> torch.nn.Module:
    torch.manual_seed(seed)
    return architectures.build(arch)


def weights(model: torch.nn.Module) -> dict[str, bytes]:
    return {name: tensor.contiguous().numpy().tobytes() for name, tensor in model.state_dict().items()}


def test_init_takes_a_torchvision_state_dict_but_for_its_thousand_classes(tmp_path):
    import torchvision

    torch.manual_seed(3)
    given = torchvision.models.resnet18().state_dict()
    torch.save(given, tmp_path / "w.pth")
    mine = network(0, "resnet18")
    head = mine.fc.weight.clone()
    (said,) = initialise(mine, tmp_path / "w.pth")
    assert said.startswith("last layer (fc.weight, fc.bias): not in the file in this shape")
    assert torch.equal(mine.conv1.weight, given["conv1.weight"])
    assert torch.equal(mine.fc.weight, head)


def test_init_takes_our_own_weights_whole(tmp_path):
    checkpoint.save_tensors(tmp_path / "w.safetensors", network(7).state_dict(), {})
    mine = network(0)
    assert initialise(mine, tmp_path / "w.safetensors") == ()
    assert weights(mine) == weights(network(7))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_init_takes_safetensors_made_elsewhere(tmp_path, prefix):
    """By DistributedDataParallel, torch.compile, or both."""
    given = {f"{prefix}{name}": tensor.contiguous() for name, tensor in network(7).state_dict().items()}
    save_file(given, tmp_path / "w.safetensors")
    mine = network(0)
    initialise(mine, tmp_path / "w.safetensors")
    assert weights(mine) == weights(network(7))


class Trap:
    """What runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("how", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_init_never_unpickles(tmp_path, how):
    how({"fc.weight": Trap(tmp_path / "sprung")}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="other pickles are not loaded"):
        initialise(network(), tmp_path / "w.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pth", b"not weights", "nor a plain torch state_dict"),
        ("w.pth", b"", "nor a plain torch state_dict"),
        ("w.pth", b"rubbish", "nor a plain torch state_dict"),
        ("w.pth", b"G", "nor a plain torch state_dict"),
        ("w.safetensors", b"not weights", "invalid safetensors file"),
    ],
)
def test_init_from_what_is_no_file_of_weights_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        initialise(network(), tmp_path / name)


@given(st.binary(max_size=40))
def test_init_from_any_bytes_is_refused_in_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("init") / "w.pth"
    path.write_bytes(content)
    with pytest.raises(InputError):
        initialise(network(), path)


def test_init_of_another_architecture_is_refused(tmp_path):
    torch.save(network(arch="shielded_194k").state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match="another architecture"):
        initialise(network(), tmp_path / "w.pth")


@pytest.mark.parametrize("bands", [1, 4])
def test_a_first_layer_of_other_bands_sees_their_mean_as_before(tmp_path, bands):
    """The answer to an image that is the same in all bands stays."""
    theirs = network(7)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    mine = build("shielded", bands=bands)
    (said,) = initialise(mine, tmp_path / "w.pth")
    assert said == f"first layer (stem.0.weight): the mean over 3 channels, for each of {bands} bands"
    grey = torch.randn(2, 1, 16, 16)
    with torch.inference_mode():
        of_three = theirs.eval()(grey.expand(2, 3, 16, 16))
        torch.testing.assert_close(mine.eval()(grey.expand(2, bands, 16, 16)), of_three, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("arch", ["convnext_nano", "vit_small_patch8_224"])
def test_weights_that_timm_publishes_for_a_thousand_classes_fit(tmp_path, arch):
    """Theirs of 224 px: the ViT's positions are interpolated to those of 64 px."""
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(arch, pretrained=False)
    save_file({name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}, tmp_path / "w.safetensors")
    mine = build(arch)
    said = initialise(mine, tmp_path / "w.safetensors")
    assert said[0].startswith(f"last layer ({', '.join(head_weights(mine))})")
    assert said[1:] == (("pos_embed: interpolated from 785 places to 65",) if "vit" in arch else ())
    for name, tensor in mine.state_dict().items():
        if name not in (*head_weights(mine), "pos_embed"):
            assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_a_checkpoint_of_zoobot_is_an_encoder_with_another_head(tmp_path):
    encoder = {f"encoder.{n}": t for n, t in network(7).state_dict().items() if not n.startswith("fc.")}
    torch.save({"state_dict": {**encoder, "fc.1.weight": torch.zeros(34, 32)}, "epoch": 3}, tmp_path / "w.ckpt")
    mine = network(0)
    (said,) = initialise(mine, tmp_path / "w.ckpt")
    assert "last layer (fc.weight, fc.bias)" in said
    assert torch.equal(mine.state_dict()[first_weight(mine)], network(7).state_dict()["stem.0.weight"])


def test_a_file_that_swells_or_is_too_large_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(100_000))
    with pytest.raises(InputError, match="holds compressed parts"):
        initialise(network(), tmp_path / "w.pth")
    monkeypatch.setattr(initial_weights, "MOST_BYTES", 1000)
    torch.save(network().state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match="larger than"):
        initialise(network(), tmp_path / "w.pth")


@pytest.mark.parametrize("channels", [0, 10**9])
def test_a_first_layer_of_absurd_bands_is_refused_at_once(tmp_path, channels):
    state = network().state_dict()
    state["stem.0.weight"] = torch.zeros(1).expand(32, 1, 7, 7)[:, :1].expand(32, channels or 1, 7, 7)[:, :channels]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match="weights of another architecture"):
        initialise(network(), tmp_path / "w.pth")


def run_beside(folder: Path, **facts: object) -> Path:
    """A run's weights with the facts beside them."""
    folder.mkdir(exist_ok=True)
    path = folder / BEST
    checkpoint.save_tensors(path, rings.tiny(3, 0.0).state_dict(), {})
    told = {"model_digest": weights_digest([path]), "manifest_digest": "sha256:ab", "config": {}, **facts}
    (folder / RUN).write_text(json.dumps(told))
    return path


def test_what_a_run_was_trained_on_is_read_beside_its_weights(tmp_path):
    before = {"said": "ImageNet-1k"}
    path = run_beside(tmp_path / "a", config={"fold": "1/5", "without_ref": ["x"]}, init={"trained_on": before})
    assert origin_of(path, None) == {
        "manifest_digest": "sha256:ab", "fold": "1/5", "without_ref": ["x"], "init": before,
    }  # fmt: skip
    (tmp_path / "w.pth").write_bytes(path.read_bytes())
    assert origin_of(tmp_path / "w.pth", None) == {}
    assert origin_of(tmp_path / "w.pth", " Galaxy Zoo ") == {"said": "Galaxy Zoo"}


def test_facts_of_other_weights_are_refused(tmp_path):
    path = run_beside(tmp_path / "a", model_digest="sha256:other")
    with pytest.raises(InputError, match=r"not the weights that run\.json beside it is about"):
        origin_of(path, None)


@pytest.mark.parametrize(
    "facts",
    [
        {"config": 3}, {"config": {"without_ref": [1]}}, {"init": {}}, {"init": {"trained_on": []}},
        {"manifest_digest": 7}, {"init": {"trained_on": {"manifest_digest": "x", "without_ref": 5}}},
    ],
)  # fmt: skip
def test_damaged_facts_beside_the_weights_are_one_sentence(tmp_path, facts):
    with pytest.raises(InputError, match="not as lensctl wrote it"):
        origin_of(run_beside(tmp_path / "a", **facts), None)


RUN_OF_ALL = {"manifest_digest": "sha256:ab", "fold": None, "without_ref": []}


@pytest.mark.parametrize(
    ("trained_on", "without_ref", "fold", "message"),
    [
        ({}, ["x"], None, "not known"),
        (RUN_OF_ALL, ["x"], None, "a run that did not leave it out"),
        ({**RUN_OF_ALL, "said": "all but x"}, ["x"], None, "a run that did not leave it out"),
        ({**RUN_OF_ALL, "without_ref": ["x"]}, ["x", "y"], None, "--without-ref y"),
        ({**RUN_OF_ALL, "without_ref": ["x"], "init": RUN_OF_ALL}, ["x"], None, "a run that did not leave it out"),
        (RUN_OF_ALL, [], "1/5", "a run on no fold"),
        ({**RUN_OF_ALL, "fold": "2/5"}, [], "1/5", "a run on 2/5"),
    ],
)
def test_a_claim_that_the_initial_weights_would_break_is_refused(trained_on, without_ref, fold, message):
    with pytest.raises(InputError, match=message):
        refuse_known_lenses(trained_on, without_ref, fold)


@pytest.mark.parametrize(
    ("trained_on", "without_ref", "fold"),
    [
        ({}, [], None),
        ({"said": "ImageNet-1k"}, ["x"], "1/5"),
        (RUN_OF_ALL, [], None),
        ({**RUN_OF_ALL, "without_ref": ["x", "y"], "fold": "1/5"}, ["x"], "1/5"),
    ],
)
def test_a_claim_that_stays_true_is_let_pass(trained_on, without_ref, fold):
    refuse_known_lenses(trained_on, without_ref, fold)


def test_people_are_told_what_is_not_said():
    assert Initial("w.pth", "sha256:a", {}, ("first layer: b",)).said() == (
        "initial weights from w.pth, trained on: not said",
        "first layer: b",
    )
