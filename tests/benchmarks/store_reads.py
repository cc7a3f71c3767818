"""Reading a store for training beside bare tensorstore, single .npz files and a .npy memmap, with a warm cache."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tensorstore

from lensctl.learning.data.dataloader import BUFFER_ROWS, Feed, Pixels, Place, epoch_order
from lensctl.learning.data.row_selection import Rows
from lensctl.rules.quality import Images
from tests.toys.pixels import images, make_store

ROWS, SIZE, SHARD_ROWS = 20_480, 101, 1024
BATCH, BATCHES, ROUNDS = 256, 20, 5
OF_TENSORSTORE, OF_NPZ, OF_MEMMAP = 0.7, 2.0, 0.5


class Memmap:
    """A .npy file, read as a store is."""

    def __init__(self, path: Path) -> None:
        self.array = np.load(path, mmap_mode="r")

    def read(self, rows: np.ndarray, crop: int | None = None, *, check: bool = True) -> Images:
        """(n,) rows to (n, S, S, 3)."""
        return self.array[rows]


class Bare:
    """A store as tensorstore opens it by its driver's name and path alone."""

    def __init__(self, path: Path) -> None:
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "images")}}
        self.array = tensorstore.open(spec, read=True).result()

    def read(self, rows: np.ndarray, crop: int | None = None, *, check: bool = True) -> Images:
        """(n,) rows to (n, S, S, 3)."""
        return self.array[rows].read().result()


class Npz:
    """One .npz per galaxy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, rows: np.ndarray, crop: int | None = None, *, check: bool = True) -> Images:
        """(n,) rows to (n, S, S, 3)."""
        return np.stack([np.load(self.folder / f"{row}.npz")["cutout"] for row in rows])


def figures() -> Iterator[dict[str, object]]:
    """Random batches, and block-shuffled epochs as `train` takes them from a store that exceeds memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = images(ROWS, SIZE)
        store = make_store(folder / "a.zarr", pixels, shard_rows=SHARD_ROWS)
        np.save(folder / "a.npy", pixels)
        (folder / "npz").mkdir()
        for row, cutout in enumerate(pixels):
            np.savez(folder / "npz" / f"{row}.npz", cutout=cutout)
        del pixels
        ways: dict[str, Pixels] = {
            "lensctl": store,
            "tensorstore": Bare(folder / "a.zarr"),
            "npz": Npz(folder / "npz"),
            "memmap": Memmap(folder / "a.npy"),
        }
        rates = measured({name: partial(random_batches, way) for name, way in ways.items()})
        yield {
            "what": f"random batches of {BATCH}",
            **{f"{name}_per_second": round(statistics.median(rate)) for name, rate in rates.items()},
            "of_tensorstore": round(ratio(rates, "tensorstore"), 2),
            "limit_of_tensorstore": OF_TENSORSTORE,
            "of_npz": round(ratio(rates, "npz"), 2),
            "limit_of_npz": OF_NPZ,
            "holds": ratio(rates, "tensorstore") >= OF_TENSORSTORE and ratio(rates, "npz") >= OF_NPZ,
        }
        rates = measured({name: partial(an_epoch, ways[name]) for name in ("lensctl", "memmap")})
        yield {
            "what": f"an epoch of {ROWS} cutouts, shuffled by blocks among {BUFFER_ROWS}",
            **{f"{name}_per_second": round(statistics.median(rate)) for name, rate in rates.items()},
            "of_memmap": round(ratio(rates, "memmap"), 2),
            "limit_of_memmap": OF_MEMMAP,
            "holds": ratio(rates, "memmap") >= OF_MEMMAP,
        }


def measured(ways: dict[str, Callable[[], int]]) -> dict[str, list[float]]:
    """Cutouts a second of each way in each round; in turn, because the machine's speed drifts."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for count in range(ROUNDS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            done = way()
            if count:  # the first round warms the cache
                rates[name].append(done / (time.perf_counter() - started))
    return rates


def ratio(rates: dict[str, list[float]], peer: str) -> float:
    """How many times as fast as a peer, by the round in the middle."""
    return statistics.median(a / b for a, b in zip(rates["lensctl"], rates[peer], strict=True))


def random_batches(pixels: Pixels) -> int:
    """Batches of rows from anywhere."""
    random = np.random.default_rng(1)
    for _ in range(BATCHES):
        assert pixels.read(random.integers(0, ROWS, BATCH)).shape == (BATCH, SIZE, SIZE, 3)
    return BATCHES * BATCH


def an_epoch(pixels: Pixels) -> int:
    """All rows once, by the training's own feed."""
    label = (np.arange(ROWS) % 100 == 0).astype(np.float32)
    rows = Rows(np.arange(ROWS), np.array([""] * ROWS, object), label, label, np.ones(ROWS, np.float32))
    feed = Feed(pixels, rows, SIZE, Place("stream", None, "as asked"))
    order = epoch_order(label, BATCH, seed=1, epoch=0)
    return sum(len(batch.cutouts) for batch in feed.batches(order))
