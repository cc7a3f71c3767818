"""A network that learns: one step at a time, and everything needed to go on from where it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from lensctl.learning.randomness import seed_of
from lensctl.words.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """Learning rate: a linear rise over the first `warmup` share of all steps, then a cosine down to `end`."""

    peak: float
    end: float
    warmup: float
    steps: int

    def at(self, step: int) -> float:
        """Learning rate of a step, counted from 0 over the whole run."""
        rise = max(1, round(self.warmup * self.steps)) if self.warmup else 0
        if step < rise:
            return self.peak * (step + 1) / rise
        done = (step - rise) / max(1, self.steps - 1 - rise)
        return self.end + (self.peak - self.end) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


@dataclass(frozen=True)
class Step:
    """What one step gave: (B,) logits, the mean loss, and whether loss and gradient were finite; on the device."""

    logits: torch.Tensor
    loss: torch.Tensor
    finite: torch.Tensor


class Learner:
    """A network, its optimizer, and how a step is made on its device.

    Parameters
    ----------
    network : (B, 3, S, S) to (B, 1)
    device : torch.device
    weight_decay, clip : float
        Of AdamW; largest gradient norm.
    amp : bool
        bfloat16 where the device computes in it.
    compiled : bool
        Through torch.compile.
    say : callable
        Told when the batch is halved for want of memory.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        *,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        amp: bool = True,
        compiled: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.network = network.to(device)
        self.device, self.clip, self.say = device, clip, say
        self.optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=weight_decay)
        self.half = amp and device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.forward: Callable[[torch.Tensor], torch.Tensor] = torch.compile(network) if compiled else network
        self.micro_batch: int | None = None

    def step(self, x: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, *, lr: float, purpose: str) -> Step:
        """One step of AdamW on the mean over the batch of weight times binary cross-entropy.

        Parameters
        ----------
        x : (B, 3, S, S) float32
            Normalised pixels, channels_last.
        target, weight : (B,) float32
        lr : float
        purpose : str
            What dropout is a function of.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.network.train()
        while True:
            try:
                logits, loss = self._accumulate(x, target, weight, purpose)
                break
            except torch.OutOfMemoryError as error:
                self._halve(len(x), error)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        return Step(logits, loss, torch.isfinite(loss) & torch.isfinite(norm))

    def _accumulate(
        self, x: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, purpose: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients of the whole batch, in pieces where it does not fit at once."""
        self.optimizer.zero_grad(set_to_none=True)
        piece = self.micro_batch or len(x)
        logits, loss = [], torch.zeros((), device=self.device)
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed_of("dropout", purpose))
            for start in range(0, len(x), piece):
                part = slice(start, start + piece)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                    out = self.forward(x[part])[:, 0].float()
                each = nn.functional.binary_cross_entropy_with_logits(out, target[part], reduction="none")
                share = (weight[part] * each).sum() / len(x)
                share.backward()  # type: ignore[no-untyped-call]
                loss += share.detach()
                logits.append(out.detach())
        return torch.cat(logits), loss

    def _halve(self, batch: int, error: torch.OutOfMemoryError) -> None:
        size = self.micro_batch or batch
        if size == 1:
            raise InputError("the device has not the memory for a single cutout", "use a smaller --arch") from error
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.micro_batch = math.ceil(size / 2)
        self.say(f"out of device memory: a batch of {batch} now goes in pieces of {self.micro_batch}, gradients summed")

    @property
    def sound(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(torch.isfinite(parameter).all()) for parameter in self.network.parameters())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights (`network.*`) and the optimizer's memory (`optimizer.K.*`, by parameter)."""
        state = self.optimizer.state_dict()["state"]
        return {
            **{f"network.{name}": tensor for name, tensor in self.network.state_dict().items()},
            **{f"optimizer.{k}.{key}": tensor for k, kept in state.items() for key, tensor in kept.items()},
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `tensors` gave, to the bit."""
        weights = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
        self.network.load_state_dict(weights)
        parameters = list(self.network.parameters())
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, k, key = name.split(".")
                parameter = parameters[int(k)]
                like = torch.empty_like(parameter) if tensor.shape == parameter.shape else torch.empty_like(tensor)
                self.optimizer.state[parameter][key] = like.copy_(tensor)  # in the memory format it had
