"""Small made-up cutouts with something to learn: a faint ring around the galaxy means lens."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pyarrow as pa
import torch

from lensctl.learning.networks import architectures
from lensctl.rules.quality import fingerprints

SIZE = 24


class InMemory:
    """Cutouts by manifest row, out of an array; counts what was read."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.rows_read = 0

    def read(self, rows: np.ndarray, crop: int | None = None, *, check: bool = True) -> np.ndarray:
        self.rows_read += len(rows)
        start = 0 if crop is None else (self.images.shape[1] - crop) // 2
        stop = self.images.shape[1] if crop is None else start + crop
        return self.images[np.asarray(rows)][:, start:stop, start:stop]


def images(label: np.ndarray, *, size: int = SIZE, seed: int = 0) -> np.ndarray:
    """(N, size, size, 3) float32 nanomaggies: a galaxy, noise, and a ring of radius 5 px where the label is 1."""
    random = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - size // 2
    radius = np.hypot(y, x)
    count = len(label)
    galaxy = np.exp(-radius / 2)[None, :, :, None] * random.uniform(0.5, 1.5, (count, 1, 1, 1))
    ring = np.exp(-0.5 * (radius - 5) ** 2)[None, :, :, None] * np.array([0.4, 0.3, 0.1])
    noise = random.normal(0, 0.05, (count, size, size, 3))
    return (galaxy + label[:, None, None, None] * ring + noise).astype(np.float32)


def manifest(count: int = 96, *, size: int = SIZE, seed: int = 0, path: str = "s.zarr") -> tuple[pa.Table, InMemory]:
    """A manifest, three in ten rows lenses, and its cutouts."""
    random = np.random.default_rng(seed)
    label = (np.arange(count) % 10 < 3).astype(np.int8)
    pixels = images(label, size=size, seed=seed)
    tier = np.where(label == 1, np.where(np.arange(count) % 4 == 0, "A", "B"), "N1")
    table = pa.table(
        {
            "galaxy_id": [f"0001p000_{i}" for i in range(count)],
            "cutout_path": [path] * count,
            "cutout_index": pa.array(np.arange(count)),
            "label": pa.array(label),
            "sample_weight": pa.array(np.where(tier == "B", 0.5, 1.0)),
            "split": np.array(["train", "val", "train", "test"])[random.permutation(np.arange(count) % 4)].tolist(),
            "tier": tier.tolist(),
            "healpix_128": pa.array(np.arange(count) // 3),
            "ra": pa.array(10 + 0.05 * np.arange(count)),
            "dec": pa.array(np.zeros(count)),
            "ref": [["paper one", "paper two"][i % 2] if label[i] else None for i in range(count)],
            "cutout_ok": [True] * count,
            "cutout_sha256": fingerprints(pixels),
        }
    )
    return table, InMemory(pixels)


def changed(table: pa.Table, name: str, row: int, value: object) -> pa.Table:
    """The table with one value changed."""
    values = table[name].to_pylist()
    values[row] = value
    return table.set_column(table.column_names.index(name), name, pa.array(values, table[name].type))


def tiny(bands: int, dropout: float) -> torch.nn.Module:
    """A network small enough for many runs in a test: two layers, batch norm, dropout."""
    return torch.nn.Sequential(
        OrderedDict(
            conv=torch.nn.Conv2d(bands, 8, 5, 2, bias=False),
            norm=torch.nn.BatchNorm2d(8),
            relu=torch.nn.ReLU(),
            pool=torch.nn.AdaptiveAvgPool2d(3),
            flat=torch.nn.Flatten(),
            fc=architectures.Head(72, dropout),
        )
    )
