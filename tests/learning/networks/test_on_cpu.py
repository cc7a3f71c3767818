"""Networks rewritten for scoring on the CPU say what they said before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lensctl.learning.networks import architectures, on_cpu


def trained(arch: str) -> nn.Module:
    """A network whose batch norms do something."""
    torch.manual_seed(3)
    network = architectures.build(arch).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
@torch.inference_mode()
def test_a_resnet_is_rewritten_and_its_logits_stay(recwarn):
    network, x = trained("resnet18"), torch.randn(5, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    quick = on_cpu.rewritten(network)
    assert isinstance(quick, on_cpu.Rewritten)
    assert (quick(x) - network(x)).abs().max() < 1e-5
    assert quick(x).shape == (5, 1)
    assert not [w for w in recwarn if issubclass(w.category, FutureWarning)]


@pytest.mark.parametrize("arch", ["shielded", "efficientnet_b0"])
def test_a_network_with_layers_that_cannot_be_rewritten_is_left_as_it_is(arch):
    network = trained(arch)
    assert on_cpu.rewritten(network) is network
