"""Tables of a selection's folder: real lenses, injections and hosts, alike but for what a test plants."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from lensctl.injection import observables
from lensctl.io.provenance import digests
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.survey import LS_DR10

WIDTH = 24


def rows_of(count: int, kind: str, seed: int, embedding: bool = True) -> dict[str, object]:
    """Columns of rows, each column a random number of the same distribution whatever the kind."""
    rng = np.random.default_rng(seed)
    host = np.arange(count) // (5 if kind == "injections" else 1)
    columns: dict[str, object] = {
        "galaxy_id": [f"{kind}_{h}#{i % 5}" if kind == "injections" else f"{kind}_{h}" for i, h in enumerate(host)],
        "healpix_128": rng.integers(0, 400, host.max(initial=0) + 1)[host] if count else np.zeros(0, int),
    }
    columns |= {name: rng.standard_normal(count) for name in observables.names(LS_DR10)}
    mag = rng.uniform(17.5, 20, count)
    for band, colour in zip(LS_DR10.bands, (1.9, 0.7, 0.0), strict=True):
        columns[f"obs_mag_{band}"] = mag + colour + rng.normal(0, 0.1, count)
    if kind == "real":
        columns |= {"tier": np.where(np.arange(count) % 4 == 0, "A", "B"), "split": np.full(count, "test")}
    if kind == "injections":
        columns |= {"control": np.full(count, ""), "vary": np.full(count, "")}
    if embedding and kind != "hosts":
        columns["embedding"] = rng.standard_normal((count, WIDTH)) * np.linspace(3, 1, WIDTH)
    return columns


def make(
    folder: Path, lenses: int = 150, count: int = 2500, hosts_count: int = 300, *, embedding: bool = True, **plant
):
    """Write the folder; `plant` has a function for a kind that changes its columns in place."""
    (folder / "tables").mkdir(parents=True)
    digest = {}
    for seed, (kind, number) in enumerate({"real": lenses, "injections": count, "hosts": hosts_count}.items()):
        columns = rows_of(number, kind, seed, embedding)
        plant.get(kind, lambda columns: None)(columns)
        path = str(folder / "tables" / f"{kind}.parquet")
        write_table(table_of(columns), path)
        table = read_table(path, allow_empty=True)
        digest[kind] = {"rows": table.num_rows, "digest": digests.of_table(table)}
    (folder / "selection.json").write_text(json.dumps({"exploratory": False, "tables": digest}))
    return folder


def table_of(columns: dict[str, object]) -> pa.Table:
    lists = {name: np.asarray(values) for name, values in columns.items() if name != "embedding"}
    table = pa.table({name: pa.array(v.tolist() if v.dtype.kind == "U" else v) for name, v in lists.items()})
    for name in ("galaxy_id", "host_id", "tier", "split", "control", "vary"):
        if name in table.column_names:
            at = table.schema.get_field_index(name)
            table = table.set_column(at, name, table[name].cast(pa.string()))
    if "embedding" in columns:
        values = np.asarray(columns["embedding"], np.float32)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
        table = table.append_column("embedding", flat)
    return table
