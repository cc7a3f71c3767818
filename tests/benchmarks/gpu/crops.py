"""Synthetic crops made on the card, so that no disk and no network is in the figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from lensctl.learning.data.augment import BLUR_REACH_PX
from lensctl.learning.data.dataloader import Feed, Pixels, choose_place
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.data.row_selection import Rows, RowSelection
from lensctl.train.feeding import Feeds

SHIFT_PX = 5
BANDS = 3
LENSES = 0.05
BLOCK = 4096


@dataclass(frozen=True)
class Size:
    """How much is measured: rows of training and val, network, timed steps of a round, cutouts scored."""

    rows: int
    val_rows: int
    arch: str
    crop: int
    batch: int
    steps: int
    scored: int

    @property
    def window(self) -> int:
        """Side of what is kept of a cutout, for shifts and blur."""
        return self.crop + 2 * (SHIFT_PX + BLUR_REACH_PX)


FULL = Size(rows=357_000, val_rows=76_000, arch="resnet18", crop=64, batch=256, steps=200, scored=300_000)
SMALL = Size(rows=160, val_rows=80, arch="shielded", crop=16, batch=16, steps=2, scored=128)


class Nowhere(Pixels):
    """There is no store behind these crops."""

    def read(self, rows: np.ndarray, crop: int | None = None, *, check: bool = True) -> np.ndarray:
        raise AssertionError("the crops are in memory")


def crops(label: np.ndarray, side: int, device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """(N, side, side, BANDS) nanomaggies: a galaxy, noise, and an arc's ring where the label is 1."""
    draw = torch.Generator(device).manual_seed(len(label))
    y, x = torch.meshgrid(*[torch.arange(side, device=device) - side // 2] * 2, indexing="ij")
    radius = torch.hypot(y.float(), x.float())[None, :, :, None]
    ring = torch.exp(-0.5 * (radius - 5) ** 2) * torch.tensor([0.4, 0.3, 0.1], device=device)
    made = torch.empty(len(label), side, side, BANDS, dtype=dtype, device=device)
    for start in range(0, len(label), BLOCK):
        lens = torch.from_numpy(label[start : start + BLOCK]).to(device)[:, None, None, None]
        block = torch.randn(len(lens), side, side, BANDS, generator=draw, device=device).mul_(0.05)
        bright = torch.rand(len(lens), 1, 1, 1, generator=draw, device=device) + 0.5
        made[start : start + BLOCK] = block.add_(bright * torch.exp(-radius / 2)).add_(lens * ring)
    return made


def feeds(size: Size, device: torch.device) -> Feeds:
    """What a training reads, in the memory of the card."""
    values = (size.rows * size.window**2 + size.val_rows * size.crop**2) * BANDS
    place = choose_place(values, device, 64 << 30)
    training = _feed(size.rows, size.window, place.dtype, device)
    validation = _feed(size.val_rows, size.crop, place.dtype, device)
    selection = RowSelection(training.rows, validation.rows, Counter())
    normal = Normalisation("bands", mean=(0.05,) * BANDS, std=(0.1,) * BANDS)
    return Feeds(training, validation, selection, normal, place.reason)


def _feed(count: int, side: int, dtype: torch.dtype, device: torch.device) -> Feed:
    label = (np.random.default_rng(count).random(count) < LENSES).astype(np.float32)
    label[:2] = 0, 1
    ids = np.array([f"made-{i}" for i in range(count)], dtype=object)
    feed = Feed(Nowhere(), Rows(np.arange(count), ids, label, label, np.ones(count, np.float32)), side, device=device)
    feed.memory = crops(label, side, device, dtype)
    return feed
