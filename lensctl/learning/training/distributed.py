"""The processes that train one network together, each on its part of every batch: one, or those torchrun started."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from lensctl.rules.errors import InputError, LensctlError

Value = TypeVar("Value")
PATIENCE = datetime.timedelta(hours=2)
"""How long a process waits for the others, which may still be reading their cutouts."""


class FailedElsewhere(LensctlError):
    """Another process of the team said why all of them end."""


@dataclass(frozen=True)
class Team:
    """One process of `size`, numbered from 0 by `rank`; the first one leads: it alone writes and speaks.

    Every process sees the same rows in the same order, takes its part of each batch, and comes to the same weights.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def part(self, batch: int) -> slice:
        """Places of a batch that are this process's; InputError where the batch does not divide by the processes."""
        if batch % self.size:
            raise InputError(
                f"a batch of {batch} cannot be shared equally by {self.size} processes",
                f"give a --batch-size that is a multiple of {self.size}, and not above the number of training rows",
            )
        mine = batch // self.size
        return slice(self.rank * mine, (self.rank + 1) * mine)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over the processes, in place; each of them must call."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def whole(self, mine: torch.Tensor) -> torch.Tensor:
        """All parts of a batch in order, from each process's own: (B / size, ...) to (B, ...)."""
        if self.size == 1:
            return mine
        every = mine.new_zeros(len(mine) * self.size, *mine.shape[1:])
        every[self.part(len(every))] = mine
        return self.total(every)

    def least(self, value: int) -> int:
        """The smallest of the processes' values."""
        if self.size == 1:
            return value
        found = torch.tensor(value)
        distributed.all_reduce(found, distributed.ReduceOp.MIN)
        return int(found)

    def told(self, value: Value) -> Value:
        """The leader's value, told to all; what the others give is of no account."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        distributed.broadcast_object_list(box, device=torch.device("cpu"))
        told: Value = box[0]
        return told

    def share(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as it trains on a part of each batch: gradients and batch norm are those of the whole batch.

        The batch norm layers of `network` itself are replaced; the names of its weights stay.
        """
        if self.size == 1:
            return network
        if device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        else:
            _share_batch_norm(network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the new name of the setting is younger than torch 2.7
            return DistributedDataParallel(network, broadcast_buffers=False)

    def summing(self, forward: Any, now: bool) -> AbstractContextManager[None]:
        """Where gradients are added up here, and over the processes only `now`."""
        still: AbstractContextManager[None] = nullcontext() if now or self.size == 1 else forward.no_sync()
        return still


ALONE = Team()


@contextmanager
def gather_team(rank: int, size: int, local_rank: int, device: str) -> Iterator[Team]:
    """Meet the other processes, at the address in the environment as torchrun sets it, for the time of a block.

    Where one process cannot go on, all end: the first of them to find out raises its error, the others SaidByAnother.
    With a device of auto or cuda, process `local_rank` of this machine gets the GPU of that number.
    """
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(local_rank)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield Team(rank, size)
    except LensctlError:
        if not _first_to_fail():
            raise FailedElsewhere("another process said why") from None
        raise
    except RuntimeError as error:
        if not _lost_a_process(error):
            raise
        if not _first_to_fail():
            raise FailedElsewhere("another process said why") from None
        raise InputError(
            "another process of this run ended before its time", "see what it said, then add --resume to go on"
        ) from error
    distributed.destroy_process_group()


def _first_to_fail() -> bool:
    """Whether no other process has failed yet, as far as the store that all share knows."""
    try:
        return int(distributed.distributed_c10d._get_default_store().add("lensctl/failed", 1)) == 1
    except RuntimeError:  # the process that kept the store is gone, after it spoke
        return False


def _lost_a_process(error: RuntimeError) -> bool:
    """Whether an error is that of a collective whose other side went away."""
    text = str(error)
    broken = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting", "NCCL")
    return isinstance(error, distributed.DistError) or any(words in text for words in broken)


def _share_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            shared = BatchNormOfAll(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            setattr(module, name, shared)
        else:
            _share_batch_norm(child)


class BatchNormOfAll(nn.BatchNorm2d):
    """Batch norm over the batch of all processes, on the CPU, where torch's own SyncBatchNorm does not go."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B / processes, C, H, W) to the same shape; as many rows in each process."""
        if not self.training:
            return super().forward(input)
        count = input.numel() // input.shape[1] * distributed.get_world_size()
        mean = _Total.apply(input.sum(dim=(0, 2, 3))) / count
        apart = input - mean.view(1, -1, 1, 1)
        var = _Total.apply((apart**2).sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            rate = self.momentum if self.momentum is not None else 0.1
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, rate)
            self.running_var.lerp_(var * (count / (count - 1)), rate)
            self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(var + self.eps)
        normed: torch.Tensor = apart * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return normed


class _Total(torch.autograd.Function):
    """Sum over the processes; so is its gradient, because each process's loss depends on the sum."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total
