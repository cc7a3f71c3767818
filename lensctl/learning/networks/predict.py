"""From cutouts in nanomaggies to logits, with the preprocessing the network was trained with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
    """A network with its crop and normalisation inside: (B, M, M, 3) nanomaggies to (B,) logits.

    Parameters
    ----------
    network : (B, 3, crop, crop) to (B, 1)
    normalisation : Normalisation
    crop : int
        Pixels per side of what the network sees, out of M.
    """

    def __init__(self, network: nn.Module, normalisation: Normalisation, crop: int) -> None:
        super().__init__()
        self.network, self.normalisation, self.crop = network, normalisation, crop

    def forward(self, cutouts: torch.Tensor) -> torch.Tensor:
        """Channels last in, one logit each out."""
        logits: torch.Tensor = self.network(self.normalisation(centre(cutouts, self.crop)))
        return logits[:, 0]


def pick_device(name: str, threads: int | None = None) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` stands for, its CPU work on so many threads; InputError if not here."""
    if threads is not None:
        torch.set_num_threads(threads)
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"no device '{name}'", "use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is usable here", "use --device cpu, or see `lensctl doctor`")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Convolutions and products in full float32: TF32 would make a logit depend on its batch in the third digit."""
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


def logits(
    networks: Sequence[nn.Module], cutouts: NDArray[np.float32], device: torch.device, *, batch: int, tta: bool = False
) -> NDArray[np.float64]:
    """Logits of finite cutouts.

    Parameters
    ----------
    networks : K modules
        Each (B, M, M, 3) nanomaggies to (B,) logits.
    cutouts : (N, M, M, 3) float32
        In nanomaggies, without NaN.
    batch : int
        Cutouts at a time, fewer where the memory asks for it; the logits do not depend on it beyond rounding.
    tta : bool
        Average each logit over the eight turns and mirrors of the cutout.

    Returns
    -------
    (N, K) float64
    """
    import numpy as np

    found = np.empty((len(cutouts), len(networks)))
    start = 0
    with torch.inference_mode(), exact_arithmetic():
        while start < len(cutouts):
            part = slice(start, start + batch)
            try:
                found[part] = _logits(networks, torch.from_numpy(np.ascontiguousarray(cutouts[part])).to(device), tta)
                start += batch
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if batch == 1:
                    raise InputError("the device has not the memory for a single cutout", "use --device cpu") from error
                batch //= 2
    return found


def _logits(networks: Sequence[nn.Module], x: torch.Tensor, tta: bool) -> NDArray[np.float64]:
    """(B, M, M, 3) on the device to (B, K)."""
    views = [torch.stack([network(view) for view in _views(x, tta)]) for network in networks]  # K of (views, B)
    return torch.stack(views, dim=-1).to(torch.float64).mean(dim=0).cpu().numpy()


def _views(x: torch.Tensor, tta: bool) -> Iterator[torch.Tensor]:
    """The cutouts, or (with `tta`) their eight turns and mirrors: (B, M, M, 3) each."""
    if not tta:
        yield x
        return
    for turn in range(4):
        turned = torch.rot90(x, turn, dims=(1, 2))
        yield turned.contiguous()
        yield turned.flip(1)
