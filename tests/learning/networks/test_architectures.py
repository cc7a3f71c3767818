"""Architectures: the published parameter counts, one logit for any crop, and a dropout that renames no weight."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
import torch

from lensctl.learning.networks import architectures
from lensctl.learning.networks.architectures import ARCHITECTURES, build
from lensctl.rules.errors import InputError

COUNTS = {
    "resnet18": 11_177_025,
    "shielded": 59_905,
    "shielded_194k": 194_433,
    "efficientnet_b0": 4_008_829,
    "efficientnet_v2_s": 20_178_769,
    "convnext_nano": 14_953_201,
    "tf_efficientnetv2_s": 20_178_769,
    "vit_small_patch8_224": 21_394_177,
}
MULTIPLICATIONS_64_PX = {
    "resnet18": 148.0,
    "shielded": 77.9,
    "shielded_194k": 235.9,
    "efficientnet_b0": 32.0,
    "efficientnet_v2_s": 235.9,
    "convnext_nano": 199.6,
    "tf_efficientnetv2_s": 235.9,
    "vit_small_patch8_224": 1384.9,
}
"""Millions a cutout, as docs/science/training.md and the help of `train` have them."""


@functools.cache
def built(arch: str) -> torch.nn.Module:
    """One network for all tests that only look at it."""
    return build(arch).eval()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_parameter_counts_are_those_published(arch):
    assert sum(parameter.numel() for parameter in built(arch).parameters()) == COUNTS[arch]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_cost_of_a_cutout_is_the_one_that_help_and_docs_state(arch):
    from torch.utils.flop_counter import FlopCounterMode

    network = built(arch)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 64, 64))
    million = counter.get_total_flops() / 2e6
    assert million == pytest.approx(MULTIPLICATIONS_64_PX[arch], abs=0.06)
    told = (Path(__file__).parents[3] / "docs" / "science" / "training.md").read_text()
    assert re.search(rf"^\| `{arch}` \|.*\| {COUNTS[arch]:,} \| {million:,.0f} \|", told, re.MULTILINE)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("size", [64, 101])
def test_any_crop_gives_one_logit_each(arch, size):
    network = built(arch)
    with torch.inference_mode():
        logits = network(torch.zeros(2, 3, size, size).to(memory_format=torch.channels_last))
    assert logits.shape == (2, 1)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("bands", [1, 4])
def test_any_number_of_bands_changes_the_first_layer_alone(arch, bands):
    network, usual = build(arch, bands=bands).eval(), built(arch).state_dict()
    differ = [name for name, weights in network.state_dict().items() if weights.shape != usual[name].shape]
    assert len(differ) == 1
    shape = usual[differ[0]].shape
    assert network.state_dict()[differ[0]].shape == (shape[0], bands, *shape[2:])
    with torch.inference_mode():
        assert network(torch.zeros(2, bands, 48, 48)).shape == (2, 1)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_weights_lie_channels_last_as_the_pixels_do(arch):
    kernels = [p for p in built(arch).parameters() if p.dim() == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_last_layer_is_found_by_its_name(arch):
    network = built(arch)
    heads, names = architectures.head_weights(network), list(network.state_dict())
    assert sorted(heads) == sorted(names[-2:])


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_dropout_acts_in_training_only_and_keeps_the_names_of_the_weights(arch):
    plain, dropping = build(arch, 0.0), build(arch, 0.9)
    assert list(plain.state_dict()) == list(dropping.state_dict())
    head = next(module for module in dropping.modules() if isinstance(module, architectures.Head))
    x = torch.ones(1, head.in_features)
    assert not torch.equal(head.train()(x), head(x))
    assert torch.equal(head.eval()(x), head(x))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_smallest_crop_that_is_let_pass_gives_a_logit(arch):
    side = architectures.LEAST_CROP.get(arch, 16)
    with torch.inference_mode():
        assert built(arch)(torch.zeros(1, 3, side, side)).shape == (1, 1)


def test_an_unknown_architecture_is_named_with_the_near_one():
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        build("resnet81")


def test_an_architecture_of_a_library_that_is_missing_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs timm, which is not installed") as error:
        build("convnext_nano")
    assert error.value.fix == "pip install 'lensctl[timm]'"
