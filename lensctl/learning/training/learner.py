"""A network with its optimizer: training steps, and saving and restoring its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lensctl.learning.out_of_memory import is_out_of_memory
from lensctl.learning.randomness import seed_of
from lensctl.learning.training.averaging import Average
from lensctl.learning.training.distributed import ALONE, Team
from lensctl.rules.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """Learning rate: linear warmup over the first `warmup` fraction of all steps, then cosine decay to `end`."""

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


def precision_of(device: torch.device, amp: bool) -> torch.dtype:
    """Compute precision: with `amp` on a GPU bfloat16 if supported, else float16; otherwise float32."""
    if not amp or device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


@dataclass(frozen=True)
class StepResult:
    """Result of a step: (B,) logits, the mean loss, and whether loss and gradient are finite; on the device."""

    logits: torch.Tensor
    loss: torch.Tensor
    finite: torch.Tensor


class Learner:
    """A network, its optimizer, and its training step.

    Parameters
    ----------
    network : (B, bands, S, S) to (B, 1)
    device : torch.device
    weight_decay, clip : float
        Weight decay of AdamW; maximum gradient norm.
    precision : torch.dtype
        Of convolutions and matrix products; weights are always float32. With float16 the loss is scaled to avoid
        gradient underflow, and steps with gradient overflow are skipped.
    compiled : bool
        Use torch.compile.
    say : callable
        Called with a message when the batch is halved because memory ran out.
    team : Team
        The processes that share each batch; all get the same weights.
    ema : float
        Decay of the moving average of the weights; 0 for none.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        *,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        precision: torch.dtype = torch.float32,
        compiled: bool = False,
        say: Callable[[str], None] = lambda text: None,
        team: Team = ALONE,
        ema: float = 0.0,
    ) -> None:
        self.device, self.clip, self.precision, self.say, self.team = device, clip, precision, say, team
        self.network = network.to(device)
        parallel = team.parallelise(self.network, device)
        self.forward: Callable[[torch.Tensor], torch.Tensor] = torch.compile(parallel) if compiled else parallel
        self.optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=weight_decay)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
        self.average = Average(self.network, ema) if ema else None
        self.micro_batch: int | None = None
        self.fits_memory = False

    def step(
        self, x: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, *, lr: float, purpose: str
    ) -> StepResult:
        """One AdamW step on the batch mean of weight times binary cross-entropy.

        Parameters
        ----------
        x : (B, bands, S, S) float32
            Normalised pixels, channels_last; this process's part of the batch.
        target, weight : (B,) float32
        lr : float
        purpose : str
            Seeds dropout.

        Returns
        -------
        StepResult
            Of the whole batch, in every process.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if self.team.size > 1 and not self.fits_memory:
            self._fit_to_memory(x)
        self.network.train()
        logits, loss = self._micro_batched(x, target, weight, purpose)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        overflow = self.scaler.get_scale() > 1.0 if self.scaler.is_enabled() else False
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            self.average.update()
        return StepResult(logits, loss, torch.isfinite(loss) & (torch.isfinite(norm) | overflow))

    def _micro_batched(
        self, x: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, purpose: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients of the whole batch, in micro-batches if memory runs out; returns its logits and loss."""
        while True:
            try:
                logits, loss = self._accumulate(x, target, weight, purpose)
                return self.team.gather(logits), self.team.total(loss) / self.team.size
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if self.team.size > 1:
                    raise InputError(
                        "the device ran out of memory in one of several processes", "use a smaller --batch-size"
                    ) from error
            self._halve(len(x))  # only after the exception, which still references device memory, is released

    def _accumulate(
        self, x: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, purpose: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        micro_batch = self.micro_batch or len(x)
        logits, loss = [], torch.zeros((), device=self.device)
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed_of("dropout", purpose, *([self.team.rank] if self.team.rank else [])))
            for start in range(0, len(x), micro_batch):
                part = slice(start, start + micro_batch)
                with self.team.gradient_sync(self.forward, now=start + micro_batch >= len(x)):
                    out = self._logits(self.forward, x[part])
                    each = nn.functional.binary_cross_entropy_with_logits(out, target[part], reduction="none")
                    share = (weight[part] * each).sum() / len(x)
                    self.scaler.scale(share).backward()  # type: ignore[no-untyped-call]
                loss += share.detach()
                logits.append(out.detach())
        return torch.cat(logits), loss

    def _logits(self, forward: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """(B,) float32."""
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
            return forward(x)[:, 0].float()

    def _fit_to_memory(self, x: torch.Tensor) -> None:
        """Find a micro-batch that fits into memory in every process, without communication during the trial.

        During a step it would be too late: the other processes would be waiting for this one.
        """
        self.network.eval()  # so that batch norm does not communicate or update its statistics
        while True:
            try:
                self._logits(self.network, x[: self.micro_batch]).sum().backward()  # type: ignore[no-untyped-call]
                break
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._halve(len(x))
        self.optimizer.zero_grad(set_to_none=True)
        fits = self.team.minimum(self.micro_batch or len(x))
        self.micro_batch, self.fits_memory = fits if fits < len(x) else None, True

    def _halve(self, batch: int) -> None:
        size = self.micro_batch or batch
        if size == 1:
            raise InputError("not enough device memory for a single cutout", "use a smaller --arch")
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.micro_batch = math.ceil(size / 2)
        self.say(
            f"out of device memory: a batch of {batch} is now split into micro-batches of {self.micro_batch} with "
            "gradient accumulation; batch norm uses each micro-batch separately"
        )

    @property
    def weights_finite(self) -> bool:
        """Whether all weights are finite."""
        return all(bool(torch.isfinite(parameter).all()) for parameter in self.network.parameters())

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average of the weights if there is one."""
        return self.average.network if self.average else self.network

    def state(self) -> dict[str, Any]:
        """State besides the tensors, as plain JSON values."""
        averaged = {"averaged": self.average.steps} if self.average else {}
        return {"micro_batch": self.micro_batch, "scaler": self.scaler.state_dict(), **averaged}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights (`network.*`), their average (`average.*`), and optimizer state (`optimizer.K.*`, by parameter)."""
        state = self.optimizer.state_dict()["state"]
        average = self.average.network.state_dict() if self.average else {}
        return {
            **{f"network.{name}": tensor for name, tensor in self.network.state_dict().items()},
            **{f"average.{name}": tensor for name, tensor in average.items()},
            **{f"optimizer.{k}.{key}": tensor for k, kept in state.items() for key, tensor in kept.items()},
        }

    def restore(self, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
        """Restore the exact state from `tensors` and `state`."""
        self.micro_batch = state["micro_batch"]
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.network.load_state_dict(_beneath("network.", tensors))
        if self.average:
            self.average.network.load_state_dict(_beneath("average.", tensors))
            self.average.steps = int(state["averaged"])
        parameters = list(self.network.parameters())
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, k, key = name.split(".")
                parameter = parameters[int(k)]
                like = torch.empty_like(parameter) if tensor.shape == parameter.shape else torch.empty_like(tensor)
                self.optimizer.state[parameter][key] = like.copy_(tensor)  # keeps the memory format


def _beneath(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
