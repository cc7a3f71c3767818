"""Data-parallel training: processes started by torchrun share each batch."""

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
TIMEOUT = datetime.timedelta(hours=2)
"""How long a process waits for the others, which may still be reading cutouts."""


class FailedElsewhere(LensctlError):
    """Another process reported the error that stops all of them."""


@dataclass(frozen=True)
class Team:
    """One of `size` processes, numbered from 0 by `rank`; only rank 0, the leader, writes files and messages.

    All processes use the same rows in the same order, process their part of each batch, and get the same weights.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def part(self, batch: int) -> slice:
        """This process's slice of a batch; InputError if the batch is not divisible by the number of processes."""
        if batch % self.size:
            raise InputError(
                f"a batch of {batch} cannot be split equally among {self.size} processes",
                f"use a --batch-size that is a multiple of {self.size} and at most the number of training rows",
            )
        mine = batch // self.size
        return slice(self.rank * mine, (self.rank + 1) * mine)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place; a collective call."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def gather(self, mine: torch.Tensor) -> torch.Tensor:
        """Concatenate the parts of all processes in order: (B / size, ...) to (B, ...)."""
        if self.size == 1:
            return mine
        batch = mine.new_zeros(len(mine) * self.size, *mine.shape[1:])
        batch[self.part(len(batch))] = mine
        return self.total(batch)

    def minimum(self, value: int) -> int:
        """The minimum over all processes."""
        if self.size == 1:
            return value
        reduced = torch.tensor(value)
        distributed.all_reduce(reduced, distributed.ReduceOp.MIN)
        return int(reduced)

    def broadcast(self, value: Value) -> Value:
        """The leader's value, in all processes; the values of the others are ignored."""
        if self.size == 1:
            return value
        objects: list[Any] = [value]
        distributed.broadcast_object_list(objects, device=torch.device("cpu"))
        received: Value = objects[0]
        return received

    def parallelise(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Wrap a network for data-parallel training: gradients and batch norm use the whole batch.

        Batch norm layers of `network` are replaced in place; the names of its weights stay.
        """
        if self.size == 1:
            return network
        fused = any(isinstance(each, nn.BatchNorm2d) and type(each) is not nn.BatchNorm2d for each in network.modules())
        if fused and device.type == "cuda":  # timm's, which has an activation within
            from timm.layers.norm_act import convert_sync_batchnorm

            convert_sync_batchnorm(network)
        elif fused:
            raise InputError("several processes cannot train this architecture on CPUs", "use one process, or GPUs")
        elif device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        else:
            _convert_batch_norm(network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the setting's new name needs torch > 2.7
            return DistributedDataParallel(network, broadcast_buffers=False)

    def gradient_sync(self, forward: Any, now: bool) -> AbstractContextManager[None]:
        """Context that accumulates gradients locally and reduces them over the processes only if `now`."""
        context: AbstractContextManager[None] = nullcontext() if now or self.size == 1 else forward.no_sync()
        return context


ALONE = Team()


@contextmanager
def gather_team(rank: int, size: int, local_rank: int, device: str) -> Iterator[Team]:
    """Join the process group at the address set by torchrun.

    If one process fails, all stop: the first to fail raises its error, the others FailedElsewhere. With device auto
    or cuda, each process uses the GPU numbered `local_rank`.
    """
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(local_rank)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
    try:
        yield Team(rank, size)
    except LensctlError:
        if not _first_to_fail():
            raise FailedElsewhere("another process reported the error") from None
        raise
    except RuntimeError as error:
        if not _lost_a_process(error):
            raise
        if not _first_to_fail():
            raise FailedElsewhere("another process reported the error") from None
        raise InputError(
            "another process of this run ended early", "see its error message, then continue with --resume"
        ) from error
    distributed.destroy_process_group()


def _first_to_fail() -> bool:
    """Whether no other process has failed yet, according to the shared store."""
    try:
        return int(distributed.distributed_c10d._get_default_store().add("lensctl/failed", 1)) == 1
    except RuntimeError:  # the process that hosts the store has exited, after reporting its error
        return False


def _lost_a_process(error: RuntimeError) -> bool:
    """Whether an error is from a collective whose peer exited."""
    text = str(error)
    messages = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting", "NCCL")
    return isinstance(error, distributed.DistError) or any(message in text for message in messages)


def _convert_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            synced = CpuSyncBatchNorm(child.num_features, child.eps, child.momentum)
            synced.load_state_dict(child.state_dict())
            setattr(module, name, synced)
        else:
            _convert_batch_norm(child)


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batch of all processes on the CPU, which torch's SyncBatchNorm does not support."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(B / processes, C, H, W) to the same shape; the same number of rows in each process."""
        if not self.training:
            return super().forward(input)
        count = input.numel() // input.shape[1] * distributed.get_world_size()
        mean = _Total.apply(input.sum(dim=(0, 2, 3))) / count
        centred = input - mean.view(1, -1, 1, 1)
        var = _Total.apply((centred**2).sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            rate = self.momentum if self.momentum is not None else 0.1
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, rate)
            self.running_var.lerp_(var * (count / (count - 1)), rate)
            self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(var + self.eps)
        normed: torch.Tensor = centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return normed


class _Total(torch.autograd.Function):
    """Sum over the processes; its gradient is summed too, because each process's loss depends on the sum."""

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
