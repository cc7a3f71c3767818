"""Small made-up cutouts and stores of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lensctl.io.cutouts import layout, npz
from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.cutouts.writer import StoreWriter
from lensctl.io.provenance.steps import Step
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.rules import quality
from lensctl.rules.survey import LS_DR10

CHAIN = (Step("cutout", {"made": "up"}),)


def images(count: int, size: int = 9, seed: int = 0) -> quality.Images:
    """Noise; each cutout is another."""
    return np.random.default_rng(seed).normal(0.02, 0.1, (count, size, size, 3)).astype(np.float32)


def ids(count: int) -> list[str]:
    return [f"{1500 + i // 500:04d}p020_{i % 500}" for i in range(count)]


def index(pixels: quality.Images, first: int = 0, meta: pa.Table | None = None) -> pa.Table:
    """Rows of the index for some pixels, whose first is row `first` of a table."""
    count = len(pixels)
    number = np.arange(first, first + count)
    columns = {
        **quality.measure(pixels, "grz"),
        "galaxy_id": ids(first + count)[first:],
        "ra": 10 + 0.05 * number,  # where the rows of rings are
        "dec": np.zeros(count),
        "source": ["coadd"] * count,
        "cutout_sha256": quality.fingerprints(pixels),
    }
    return layout.index_rows(Layout(count, pixels.shape[1]), columns, meta)


def make_store(
    path: Path,
    pixels: quality.Images,
    *,
    shard_rows: int = 4,
    codec: str = "none",
    metas: list[dict[str, npz.Array]] | None = None,
) -> Store:
    """A finished store of some pixels."""
    from lensctl.io.cutouts import npz_columns

    layout = Layout(len(pixels), pixels.shape[1], LS_DR10.bands, shard_rows, codec)
    with begin_folder(str(path), {"made": "up"}) as place:
        writer = StoreWriter(place, layout)
        for shard in range(layout.shards):
            start, stop = layout.span(shard)
            meta = npz_columns.table_of(metas[start:stop]) if metas else None
            writer.writer.write(shard, pixels[start:stop], index(pixels[start:stop], start, meta))
        writer.finish(CHAIN, {})
    return open_store(path)
