"""Network architectures: the bands of a cutout in, one logit out."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError


class Head(nn.Linear):
    """Linear layer with dropout that returns one logit; parameter names match the layer it replaces."""

    def __init__(self, features: int, dropout: float) -> None:
        super().__init__(features, 1)
        self.dropout = dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, features) to (B, 1)."""
        return super().forward(nn.functional.dropout(x, self.dropout, self.training))


class Bottleneck(nn.Module):
    """Pre-activated residual block: 1x1, 3x3, 1x1 convolutions around a shortcut."""

    def __init__(self, inside: int, middle: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.activation = nn.Sequential(nn.BatchNorm2d(inside), nn.ELU())
        self.residual = nn.Sequential(
            nn.Conv2d(inside, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ELU(),
            nn.Conv2d(middle, middle, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ELU(),
            nn.Conv2d(middle, outside, 1, bias=False),
        )
        changes = inside != outside or stride != 1
        self.shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False) if changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inside, H, W) to (B, outside, H / stride, W / stride)."""
        active = self.activation(x)
        change: torch.Tensor = self.residual(active)
        return change + (x if self.shortcut is None else self.shortcut(active))


class ShieldedResNet(nn.Module):
    """Residual network with 1x1 convolutions to few channels ("shields") between its stages.

    After Huang et al. 2021 (ApJ 909, 27), who added such layers to the 46-layer network of Lanusse et al. 2018
    (five stages of three bottleneck blocks) and so reduced some 3 million parameters to 60 thousand. The papers
    give parameter counts but no widths; the widths here are chosen to match the counts.

    Parameters
    ----------
    bands : int
        Number of bands.
    stem, middle, outside, shield : int
        Channels of the first layer, inside the blocks, at their output, and between stages.
    """

    def __init__(self, bands: int, stem: int, middle: int, outside: int, shield: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(bands, stem, 7, padding=3, bias=False), nn.BatchNorm2d(stem), nn.ELU())
        stages: list[nn.Module] = []
        inside = stem
        for number in range(5):
            stages += [
                Bottleneck(inside, middle, outside, stride=1 if number == 0 else 2),
                Bottleneck(outside, middle, outside),
                Bottleneck(outside, middle, outside),
                nn.Sequential(nn.BatchNorm2d(outside), nn.ELU()),
            ]
            if number < 4:
                stages.append(nn.Conv2d(outside, shield, 1, bias=False))
            inside = shield
        self.stages = nn.Sequential(*stages)
        self.fc = Head(outside, dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, bands, S, S) to (B, 1)."""
        features: torch.Tensor = self.stages(self.stem(x)).mean(dim=(2, 3))
        logit: torch.Tensor = self.fc(features)
        return logit


def _resnet18(bands: int, dropout: float) -> nn.Module:
    network = _torchvision("resnet18", bands)
    network.fc = Head(512, dropout)
    return network


def _efficientnet(name: str, bands: int, dropout: float) -> nn.Module:
    network = _torchvision(name, bands)
    network.classifier = nn.Sequential(nn.Identity(), Head(1280, dropout))
    return network


def _torchvision(name: str, bands: int) -> nn.Module:
    """A network of torchvision, with a first layer of its own shape for this number of bands."""
    import torchvision  # takes 2 s; not needed by every command

    network: nn.Module = getattr(torchvision.models, name)(num_classes=1)
    place, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if bands != first.in_channels:
        outside, size, stride, padding = first.out_channels, first.kernel_size, first.stride, first.padding
        network.set_submodule(place, nn.Conv2d(bands, outside, size, stride, padding, bias=False))  # type: ignore[arg-type]
    return network


def _timm(name: str, bands: int, dropout: float, **how: Any) -> nn.Module:
    """A network of timm with random weights; its last layer is ours."""
    if importlib.util.find_spec("timm") is None:
        raise InputError(f"the architecture {name} needs timm, which is not installed", "pip install 'lensctl[timm]'")
    import timm

    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=1, in_chans=bands, **how)
    last = network.get_classifier()  # type: ignore[operator]
    place = next(place for place, module in network.named_modules() if module is last)
    network.set_submodule(place, Head(last.in_features, dropout))
    return network


ARCHITECTURES: Mapping[str, Callable[[int, float], nn.Module]] = {
    "resnet18": _resnet18,
    "shielded": lambda bands, dropout: ShieldedResNet(bands, 32, 16, 32, 16, dropout),
    "shielded_194k": lambda bands, dropout: ShieldedResNet(bands, 40, 30, 68, 12, dropout),
    "efficientnet_b0": functools.partial(_efficientnet, "efficientnet_b0"),
    "efficientnet_v2_s": functools.partial(_efficientnet, "efficientnet_v2_s"),
    "convnext_nano": functools.partial(_timm, "convnext_nano"),
    "tf_efficientnetv2_s": functools.partial(_timm, "tf_efficientnetv2_s"),
    "vit_small_patch8_224": functools.partial(
        _timm, "vit_small_patch8_224", img_size=64, dynamic_img_size=True, dynamic_img_pad=True
    ),
}
"""Networks by `--arch` name; each takes the number of bands, and the dropout probability before the last layer.

The last three are timm's, by timm's names, so that weights published for these names fit. The ViT takes any crop: its
embedding of positions is for 8 x 8 patches of 8 px and interpolated for others; edges are filled up with zeros.
"""


LEAST_CROP = {"convnext_nano": 32}
"""Side in pixels below which nothing is left for the last layers."""


def head_weights(network: nn.Module) -> list[str]:
    """Names of the last layer's weights."""
    (place,) = (place for place, module in network.named_modules() if isinstance(module, Head))
    return [f"{place}.weight", f"{place}.bias"]


def first_weight(network: nn.Module) -> str:
    """Name of the first convolution's weight, whose shape depends on the number of bands."""
    return next(f"{place}.weight" for place, module in network.named_modules() if isinstance(module, nn.Conv2d))


def build(arch: str, dropout: float = 0.0, bands: int = 3) -> nn.Module:
    """A network with random weights from torch's global random state: (B, bands, S, S) float to (B, 1) logits.

    Its weights are in channels_last memory format, like the pixels.

    Raises
    ------
    InputError
        Unknown architecture.
    """
    if arch not in ARCHITECTURES:
        raise InputError(f"no architecture '{arch}'{nearest(arch, ARCHITECTURES)}", f"use {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[arch](bands, dropout).to(memory_format=torch.channels_last)
