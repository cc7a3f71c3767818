"""Stores of injections, honest and spoiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lensctl.inject import inject
from lensctl.io.cutouts.store import open_store
from lensctl.io.cutouts.writer import StoreWriter
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.rules import quality
from tests.toys.hosts import make_hosts

Pixels = dict[str, np.ndarray]


def make_injections(folder: Path, count: int = 24, per_host: int = 4, **options: Any) -> Path:
    """A store of injections into made-up hosts."""
    hosts = make_hosts(folder / "hosts", count=count)
    inject(hosts.table, hosts.store, folder / "injected.zarr", per_host=per_host, workers=1, **options)
    return folder / "injected.zarr"


def spoiled(
    path: Path, output: Path, spoil: Callable[[Pixels, dict[str, Any]], None], rows: slice = slice(None)
) -> Path:
    """A copy of a store whose pixels (`images` and planes) and columns were changed in place by a function."""
    store = open_store(path)
    numbers = np.arange(store.n)[rows]
    pixels = {"images": store.read(numbers), **{n: store.read_plane_rows(n, numbers) for n in store.layout.planes}}
    index = store.index.take(numbers)
    full = [name for name in index.column_names if not index[name].null_count]
    columns: dict[str, Any] = {name: index[name].to_numpy().copy() for name in full}
    spoil(pixels, columns)
    columns["cutout_sha256"] = quality.fingerprints(pixels["images"])
    table = index
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pa.array(values, index[name].type, from_pandas=False))
    layout = type(store.layout)(**{**vars(store.layout), "rows": len(numbers)})
    with begin_folder(str(output), {"made": "up"}) as place:
        writer = StoreWriter(place, layout)
        for shard in range(layout.shards):
            start, stop = layout.span(shard)
            planes = {name: pixels[name][start:stop] for name in layout.planes}
            writer.writer.write(shard, pixels["images"][start:stop], table.slice(start, stop - start), planes=planes)
        writer.finish(store.chain, {"source": "injected"})
    return output
