"""Stores of injections, and tables of scores of them as `score` writes them, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.provenance.steps import Step, extend, stamp
from lensctl.io.tables.files import write_table
from tests.toys.injections import make_injections


def make_scored(folder: Path, count: int = 6, per_host: int = 2, **options: Any) -> tuple[Path, Store]:
    """scores.parquet in a folder, its rows not in the order of the store injected.zarr beside it; and that store."""
    store = open_store(make_injections(folder, count, per_host, **options))
    order = np.random.default_rng(0).permutation(store.n)
    table = store.index.take(pa.array(order)).append_column("logit", pa.array(np.linspace(-3, 3, store.n)))
    return write_scored(folder, table, store), store


def write_scored(folder: Path, table: pa.Table, store: Store) -> Path:
    path = folder / "scores.parquet"
    chain = extend(Step("score", {}, survey=store.survey), store.chain)
    write_table(stamp(table.replace_schema_metadata(), chain), str(path), overwrite=True)
    return path
