"""A network that only scores, on the CPU: batch norms folded into convolutions, which run in oneDNN's own layout.

A ResNet-18 scores 1.6 times as many cutouts, and its logits differ by rounding (some 1e-6). The pieces are torch's;
other networks have layers that they do not know.
"""

from __future__ import annotations

import copy
import itertools
import warnings

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Rewritten(nn.Module):
    """A network: (B, bands, crop, crop) to (B, 1).

    Parameters
    ----------
    body : nn.Module
        In oneDNN's layout, up to what enters the head.
    head : nn.Module
        As it was.
    """

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.head(self.body(x.contiguous().to_mkldnn()).to_dense())
        return logits


def rewritten(network: nn.Module) -> nn.Module:
    """A ResNet, rewritten; any other network as it is."""
    from torchvision.models import ResNet

    if not isinstance(network, ResNet) or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return network
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own use of torch.jit
        from torch.utils.mkldnn import to_mkldnn

        shared = {id(tensor): tensor for tensor in itertools.chain(network.parameters(), network.buffers())}
        body = copy.deepcopy(network, shared).eval()  # the modules alone: weights are many megabytes
        body.fc = nn.Identity()
        for parent in list(body.modules()):
            for (name, layer), (follower, norm) in itertools.pairwise(list(parent.named_children())):
                if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    setattr(parent, name, to_mkldnn(fuse_conv_bn_eval(layer, norm)))  # type: ignore[no-untyped-call]
                    setattr(parent, follower, nn.Identity())
        return Rewritten(body, network.fc).eval()
