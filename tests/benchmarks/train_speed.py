"""Training beside a bare PyTorch loop over tensors in memory: same network, same batches, in turn, in one process."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lensctl.learning.networks import architectures
from lensctl.learning.training.settings import Resources, TrainConfig
from lensctl.train.fitting import TrainProgress, fit
from tests.toys import rings

CROP, SIZE = 64, 80
OF_BARE = 0.95
ROUNDS = 5
ON_CPU = {"resnet18": (64, 4), "shielded": (64, 2), "shielded_194k": (32, 2), "efficientnet_b0": (32, 2)}
ON_CUDA = dict.fromkeys(architectures.ARCHITECTURES, (256, 40))
"""Cutouts in a batch, and batches in a round."""


def figures() -> Iterator[dict[str, object]]:
    """Cutouts a second per architecture, with the plan's changes to them and without."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for arch, (batch, steps) in (ON_CUDA if device.type == "cuda" else ON_CPU).items():
        for changed in (True, False):
            yield compared(arch, batch, steps, device, changed)


def compared(arch: str, batch: int, steps: int, device: torch.device, changed: bool) -> dict[str, object]:
    """One architecture: rounds of steps by `train`, each followed by as many of the bare loop."""
    epoch = batch * steps * (ROUNDS + 2)
    config = TrainConfig(arch=arch, crop=CROP, batch_size=batch, epochs=1, samples_per_epoch=epoch)
    if not changed:
        config = replace(config, rotate=False, flip=False, shift=0, noise=0.0, blur=0.0)
    table, pixels = rings.manifest(16 * batch, size=SIZE)
    start = (SIZE - CROP) // 2
    inner = np.ascontiguousarray(pixels.images[:, start : start + CROP, start : start + CROP])
    x, y = torch.from_numpy(inner).permute(0, 3, 1, 2), (torch.arange(len(inner)) % 10 < 3).float()  # channels last
    bare = BareLoop(arch, x, y, batch, device)
    ours, peer, waits = [], [], []
    with tempfile.TemporaryDirectory() as name:
        events = fit(
            table,
            pixels,
            config,
            Path(name) / "run",
            resources=Resources(feed="device" if device.type == "cuda" else "host"),
        )
        for number in range(ROUNDS + 1):
            started = time.perf_counter()
            take(events, steps)
            settle(device)
            between = time.perf_counter()
            bare.take(steps)
            settle(device)
            if number:  # the first round warms up
                ours.append(between - started)
                peer.append(time.perf_counter() - between)
        if device.type == "cuda":
            waits.append(waited(events, steps))
        events.close()
    ratio = statistics.median(b / a for a, b in zip(ours, peer, strict=True))
    return {
        "what": f"{arch}, {CROP} px, batches of {batch}, {'augmented' if changed else 'not augmented'}",
        "device": device.type,
        "threads": torch.get_num_threads(),
        "lensctl_per_second": round(batch * steps / statistics.median(ours), 1),
        "bare_per_second": round(batch * steps / statistics.median(peer), 1),
        "of_bare": round(ratio, 3),
        "limit_of_bare": OF_BARE,
        **({"share_of_time_the_device_waited": round(waits[0], 3)} if waits else {}),
        "holds": ratio >= OF_BARE,
    }


class BareLoop:
    """What anyone would write: forward, backward and AdamW over normalised cutouts (N, 3, S, S) and labels (N,)."""

    def __init__(self, arch: str, x: torch.Tensor, y: torch.Tensor, batch: int, device: torch.device) -> None:
        self.x, self.y = x.to(device), y.to(device)
        self.network = architectures.build(arch).to(device).train()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 1e-3)
        self.batch, self.device = batch, device
        self.half = device.type == "cuda" and torch.cuda.is_bf16_supported()

    def take(self, steps: int) -> None:
        """So many steps."""
        for _ in range(steps):
            which = torch.randint(len(self.x), (self.batch,), device=self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                logits = self.network(self.x[which])[:, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), self.y[which])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()


def take(events: Iterator[TrainProgress], steps: int) -> None:
    """Let `train` make so many steps."""
    while steps:
        steps -= bool(next(events).batch)


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def waited(events: Iterator[TrainProgress], steps: int) -> float:
    """Share of the time in which no kernel ran on the device."""
    from torch.profiler import ProfilerActivity, profile

    started = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        take(events, steps)
        torch.cuda.synchronize()
    whole = time.perf_counter() - started
    return max(0.0, 1.0 - sum(event.self_device_time_total for event in seen.key_averages()) / 1e6 / whole)
