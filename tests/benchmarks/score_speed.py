"""Scoring a store beside a bare PyTorch inference loop over tensors in memory: same network, in turn."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from lensctl.io.provenance.steps import Step
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.networks import architectures, predict
from lensctl.learning.networks.checkpoint import ModelCard, ScoringModel
from lensctl.learning.networks.scoring import score_table
from tests.benchmarks.train_speed import settle
from tests.toys.pixels import images, make_store

CROP, SIZE, BATCH, ROUNDS = 64, 101, 256, 5
OF_BARE = 0.95
ON_CPU = {"resnet18": 1024, "shielded": 512, "shielded_194k": 256, "efficientnet_b0": 512}
ON_CUDA = dict.fromkeys(architectures.ARCHITECTURES, 40_960)
"""Cutouts to score."""


def figures() -> Iterator[dict[str, object]]:
    """Cutouts a second per architecture."""
    device = predict.pick_device("auto")
    wanted = ON_CUDA if device.type == "cuda" else ON_CPU
    with tempfile.TemporaryDirectory() as name:
        pixels = images(max(wanted.values()), SIZE)
        store = make_store(Path(name) / "a.zarr", pixels, shard_rows=512)
        start = (SIZE - CROP) // 2
        inner = np.ascontiguousarray(pixels[:, start : start + CROP, start : start + CROP])
        x = torch.from_numpy(inner).permute(0, 3, 1, 2).to(device)  # (N, 3, S, S), channels last
        for arch, rows in wanted.items():
            network = architectures.build(arch).to(device).eval()
            card = ModelCard(arch, CROP, Normalisation("bands", mean=(0.02,) * 3, std=(0.1,) * 3))
            model = ScoringModel((network,), card, "sha256:0", (Step("train", {}),), "run")
            ours, peer = [], []
            for number in range(ROUNDS + 1):
                started = time.perf_counter()
                score_table(model, store.index.slice(0, rows), lambda at: store.read(at, crop=CROP), batch_size=BATCH)
                between = time.perf_counter()
                bare(network, x[:rows])
                settle(device)
                if number:  # the first round warms up
                    ours.append(between - started)
                    peer.append(time.perf_counter() - between)
            ratio = statistics.median(b / a for a, b in zip(ours, peer, strict=True))
            yield {
                "what": f"{arch}, {CROP} px of {SIZE}, {rows} cutouts in batches of {BATCH}",
                "device": device.type,
                "threads": torch.get_num_threads(),
                "lensctl_per_second": round(rows / statistics.median(ours), 1),
                "bare_per_second": round(rows / statistics.median(peer), 1),
                "of_bare": round(ratio, 3),
                "limit_of_bare": OF_BARE,
                "holds": ratio >= OF_BARE,
            }


def bare(network: torch.nn.Module, x: torch.Tensor) -> list[float]:
    """What anyone would write, in the full precision that scores are computed in."""
    with torch.inference_mode(), predict.exact_arithmetic():
        return torch.cat([network(x[start : start + BATCH])[:, 0] for start in range(0, len(x), BATCH)]).tolist()
