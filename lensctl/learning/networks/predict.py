"""Inference: cutouts in nanomaggies to logits, with the preprocessing used in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lensctl.learning.data.augment import centre
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.out_of_memory import is_out_of_memory
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lensctl.learning.networks.checkpoint import ScoringModel


class PixelsToLogit(nn.Module):
    """A network with its crop and normalisation inside: (B, M, M, bands) nanomaggies to (B,) logits.

    Parameters
    ----------
    network : (B, bands, crop, crop) to (B, 1)
    normalisation : Normalisation
    crop : int
        Side of the network's input, pixels.
    """

    def __init__(self, network: nn.Module, normalisation: Normalisation, crop: int) -> None:
        super().__init__()
        self.network, self.normalisation, self.crop = network, normalisation, crop

    def forward(self, cutouts: torch.Tensor) -> torch.Tensor:
        """(B, M, M, bands) to (B,)."""
        logits: torch.Tensor = self.network(self.normalisation(centre(cutouts, self.crop)))
        return logits[:, 0]


def pick_device(name: str, threads: int | None = None) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`; sets the number of CPU threads. InputError if it is not available."""
    if threads is not None:
        torch.set_num_threads(threads)
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"no device '{name}'", "use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no usable CUDA device", "use --device cpu, or see `lensctl doctor`")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Disable TF32, with which the third digit of a logit would depend on the batch."""
    convolution, product = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolution, product


def modules(model: ScoringModel, device: torch.device) -> list[PixelsToLogit]:
    """The members of a model on a device, in evaluation mode."""
    card = model.card
    return [PixelsToLogit(member, card.normalisation, card.crop).to(device).eval() for member in model.members]


BATCH = 64
"""Cutouts that go through a network together, whatever is asked for: another number gives other rounding."""


def logits(
    networks: Sequence[nn.Module], cutouts: NDArray[np.float32], device: torch.device, *, tta: bool = False
) -> NDArray[np.float64]:
    """Logits of finite cutouts.

    Parameters
    ----------
    networks : K modules
        Each (B, M, M, bands) nanomaggies to (B,) logits.
    cutouts : (N, M, M, bands) float32
        In nanomaggies, without NaN. They go through in batches of BATCH, the last one filled up, so that a logit does
        not depend on how many there are; in smaller ones if memory runs out.
    tta : bool
        Average each logit over the eight rotations and flips of the cutout.

    Returns
    -------
    (N, K) float64
    """
    import numpy as np

    parts = [part for (part,) in _batches(lambda x: (_logits(networks, x, tta),), cutouts, device)]
    return np.concatenate([np.empty((0, len(networks))), *parts])


def logits_and_embedding(
    networks: Sequence[nn.Module], cutouts: NDArray[np.float32], device: torch.device, *, tta: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Logits as of `logits`, and what enters the last layer of each network, one after the other.

    The networks of an ensemble have no axes in common, so their embeddings are not averaged.

    Returns
    -------
    logits : (N, K) float64
    embedding : (N, E) float32
        E is the sum of the widths of the K last layers; with `tta` the mean over the eight views.

    Raises
    ------
    InputError
        A network does not end with a linear layer.
    """
    import numpy as np

    layers = [last_layer(network) for network in networks]
    seen: list[list[torch.Tensor]] = [[] for _ in layers]

    def run(x: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        for each in seen:
            each.clear()
        found = _logits(networks, x, tta)
        views = [torch.stack(each).mean(dim=0) for each in seen]
        return found, torch.cat(views, dim=1).to(torch.float32).cpu().numpy()

    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, kept=kept: kept.append(inputs[0]))
        for layer, kept in zip(layers, seen, strict=True)
    ]
    try:
        parts = list(_batches(run, cutouts, device))
    finally:
        for hook in hooks:
            hook.remove()
    width = sum(layer.in_features for layer in layers)
    return (
        np.concatenate([np.empty((0, len(networks))), *(part[0] for part in parts)]),
        np.concatenate([np.empty((0, width), np.float32), *(part[1] for part in parts)]),
    )


def last_layer(network: nn.Module) -> nn.Linear:
    """The linear layer that gives the logit; InputError if there is none."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not layers or layers[-1].out_features != 1:
        raise InputError("the network does not end with a linear layer", "score without --embedding")
    return layers[-1]


Run = Callable[[torch.Tensor], "tuple[NDArray[Any], ...]"]


def _batches(run: Run, cutouts: NDArray[np.float32], device: torch.device) -> Iterator[tuple[NDArray[Any], ...]]:
    """What a function gives for each batch of cutouts on the device, in order."""
    import numpy as np

    start, batch = 0, BATCH
    while start < len(cutouts):
        part = cutouts[start : start + batch]
        full = np.zeros((batch, *cutouts.shape[1:]), np.float32)
        full[: len(part)] = part
        try:
            with torch.inference_mode(), exact_arithmetic():
                found = run(torch.from_numpy(full).to(device))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1:
                raise InputError("not enough device memory for a single cutout", "use --device cpu") from error
            batch //= 2
            continue
        yield tuple(values[: len(part)] for values in found)
        start += batch


def _logits(networks: Sequence[nn.Module], x: torch.Tensor, tta: bool) -> NDArray[np.float64]:
    """(B, M, M, bands) on the device to (B, K)."""
    views = [torch.stack([network(view) for view in _views(x, tta)]) for network in networks]  # K of (views, B)
    return torch.stack(views, dim=-1).to(torch.float64).mean(dim=0).cpu().numpy()


def _views(x: torch.Tensor, tta: bool) -> Iterator[torch.Tensor]:
    """The cutouts, or (with `tta`) their eight rotations and flips: (B, M, M, bands) each."""
    if not tta:
        yield x
        return
    for turn in range(4):
        turned = torch.rot90(x, turn, dims=(1, 2))
        yield turned.contiguous()
        yield turned.flip(1)
