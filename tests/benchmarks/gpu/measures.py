"""What is measured on the card, each a function that gives figures."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from lensctl.learning.networks import architectures, predict
from lensctl.learning.networks.checkpoint import ModelCard
from lensctl.learning.training.run_folder import RunFolder
from lensctl.learning.training.settings import Resources, TrainConfig
from lensctl.train import fitting
from lensctl.train.feeding import Feeds
from lensctl.train.fitting import TrainProgress, fit_member
from tests.benchmarks.gpu.crops import Size, crops
from tests.benchmarks.train_speed import BareLoop, settle, take, waited

PLAN_EPOCHS, GOAL_MINUTES, GOAL_SCORED = 40, 10.0, 100_000
ROUNDS = 3
Figures = dict[str, object]


@contextmanager
def training(
    size: Size, feeds: Feeds, device: torch.device, epochs: int, samples: int | None = None, compiled: bool = False
) -> Iterator[Iterator[TrainProgress]]:
    """The events of a training by `lensctl train` itself, beneath its reading."""
    config = TrainConfig(
        arch=size.arch, crop=size.crop, batch_size=size.batch, epochs=epochs, samples_per_epoch=samples
    )
    card = ModelCard(size.arch, size.crop, feeds.normalisation)
    with tempfile.TemporaryDirectory() as name:
        record = RunFolder(Path(name), card, {"provenance": []})
        events = fit_member(0, config, Resources(device=device.type, compiled=compiled), feeds, record, device)
        yield events
        events.close()


def epochs(size: Size, feeds: Feeds, device: torch.device) -> Figures:
    """Two epochs with validation and checkpoint; the second is projected to the plan's 40."""
    ended = []
    with training(size, feeds, device, 2) as events:
        for event in events:
            if event.metrics is not None:
                settle(device)
                ended.append(time.perf_counter())
    second = ended[1] - ended[0]
    minutes = PLAN_EPOCHS * second / 60
    return {
        "rows": size.rows,
        "cutouts_per_second": round(size.rows / second, 1),
        "minutes_for_40_epochs": round(minutes, 2),
        "limit_minutes": GOAL_MINUTES,
        "holds": minutes <= GOAL_MINUTES,
        "kept": feeds.place,
    }


def beside_a_bare_loop(size: Size, feeds: Feeds, device: torch.device) -> Figures:
    """Rounds of steps by `train`, each followed by as many of a loop over a normalised tensor; and the time waited."""
    label = (np.arange(min(size.rows, 8192)) % 20 == 0).astype(np.float32)
    x = crops(label, size.crop, device).sub_(0.05).div_(0.1).permute(0, 3, 1, 2)  # (N, 3, S, S)
    bare = BareLoop(size.arch, x, torch.from_numpy(label), size.batch, device)
    ours, peer = [], []
    samples = size.batch * size.steps * (ROUNDS + 3)
    with training(size, feeds, device, 1, samples) as events:
        for number in range(ROUNDS + 1):
            started = time.perf_counter()
            take(events, size.steps)
            settle(device)
            between = time.perf_counter()
            bare.take(size.steps)
            settle(device)
            if number:  # the first round warms up
                ours.append(between - started)
                peer.append(time.perf_counter() - between)
        share = waited(events, size.steps) if device.type == "cuda" else None
    return {
        "lensctl_per_second": round(size.batch * size.steps / statistics.median(ours), 1),
        "bare_per_second": round(size.batch * size.steps / statistics.median(peer), 1),
        "of_bare": round(statistics.median(b / a for a, b in zip(ours, peer, strict=True)), 3),
        "share_of_time_the_device_waited": None if share is None else round(share, 3),
    }


def precisions(size: Size, feeds: Feeds, device: torch.device) -> Figures:
    """Cutouts a second in bfloat16 and in float16."""
    kinds = (torch.bfloat16, torch.float16) if device.type == "cuda" else (torch.float32,)
    return {str(kind).removeprefix("torch."): round(rate(size, feeds, device, kind)[0], 1) for kind in kinds}


def compiled(size: Size, feeds: Feeds, device: torch.device) -> Figures:
    """Cutouts a second with `--compile`, and the seconds until the first step is done."""
    if device.type != "cuda":
        return {"skipped": "compiling is measured on a card alone"}
    found, first = rate(size, feeds, device, compiled=True)
    return {"cutouts_per_second": round(found, 1), "seconds_before_the_first_step_ended": round(first, 1)}


def rate(
    size: Size, feeds: Feeds, device: torch.device, precision: torch.dtype | None = None, compiled: bool = False
) -> tuple[float, float]:
    """Cutouts a second by `train`, and seconds that the first step took."""
    samples = size.batch * (2 * size.steps + 3)
    usual = fitting.precision_of
    forced = mock.patch.object(fitting, "precision_of", lambda *given: precision or usual(*given))
    with forced, training(size, feeds, device, 1, samples, compiled) as events:
        started = time.perf_counter()
        take(events, 1)
        settle(device)
        first = time.perf_counter() - started
        take(events, size.steps)  # warms up
        settle(device)
        started = time.perf_counter()
        take(events, size.steps)
        settle(device)
        return size.batch * size.steps / (time.perf_counter() - started), first


def scoring(size: Size, feeds: Feeds, device: torch.device) -> Figures:
    """Logits of cutouts in host memory, by the code that `lensctl score` runs after reading."""
    network = predict.PixelsToLogit(architectures.build(size.arch), feeds.normalisation, size.crop).to(device).eval()
    some = crops(np.zeros(min(size.scored, 8192), np.float32), size.crop, device).cpu().numpy()
    predict.logits([network], some[:256], device)
    rounds = -(-size.scored // len(some))
    started = time.perf_counter()
    for _ in range(rounds):
        predict.logits([network], some, device)
    found = rounds * len(some) / (time.perf_counter() - started)
    return {"cutouts_per_second": round(found, 1), "limit": GOAL_SCORED, "holds": found >= GOAL_SCORED}


def two_at_once(small: bool) -> Figures:
    """Two trainings on the card at the same time, each a process of its own: the sum of their rates."""
    line = [sys.executable, "-m", "tests.benchmarks.gpu", "--one", *(["--small"] if small else [])]
    processes = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        return {"failed": [process.returncode for process in processes]}
    rates = [json.loads(text.splitlines()[-1])["cutouts_per_second"] for text in said]
    return {"cutouts_per_second": round(sum(rates), 1), "each": rates}
