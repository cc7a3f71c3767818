"""What it costs to compare the buffers of an Arrow or parquet table with what it says of them, beside reading it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lensctl.io.tables.files import read_table, write_table
from lensctl.io.unpacking import sound

ROWS, ROUNDS = 3_000_000, 5
LIMIT = 0.1
"""Seconds a million rows of this table may take."""


def _table(rows: int) -> pa.Table:
    """Rows of six columns, as a sample has them."""
    random = np.random.default_rng(0)
    number = np.arange(rows)
    types = pa.array(["SER", "DEV", "REX"]).take(pa.array(random.integers(0, 3, rows)))
    return pa.table(
        {
            "galaxy_id": pa.array([f"{n // 5000:04d}p{n % 90:03d}_{n}" for n in number.tolist()]),
            "ra": random.uniform(0, 360, rows),
            "dec": random.uniform(-20, 30, rows),
            "type": types,
            "nobs_z": pa.array(random.integers(1, 12, rows), pa.int16()),
            "flux_r": pa.array(random.lognormal(1, 1, rows), pa.float32()),
        }
    )


def _seconds(work: Callable[[], object]) -> float:
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def figures() -> Iterator[dict[str, object]]:
    """Seconds to validate, and to read, a table in each format."""
    table = _table(ROWS)
    with tempfile.TemporaryDirectory() as name:
        for ending, bare in (("arrow", _bare_stream), ("parquet", pq.read_table)):
            path = str(Path(name) / f"t.{ending}")
            write_table(table, path)
            found = bare(path)
            validated = _seconds(lambda table=found: sound(table))
            whole, alone = (
                _seconds(lambda path=path: read_table(path)),
                _seconds(lambda path=path, bare=bare: bare(path)),
            )
            yield {
                "what": f"{ROWS:,} rows of {table.num_columns} columns, {ending}",
                "validate_seconds": round(validated, 3),
                "read_table_seconds": round(whole, 3),
                "pyarrow_seconds": round(alone, 3),
                "share": round(validated / whole, 3),
                "limit": LIMIT * ROWS / 1e6,
                "holds": validated <= LIMIT * ROWS / 1e6,
            }


def _bare_stream(path: str) -> pa.Table:
    with open(path, "rb") as file:
        return pa.ipc.open_stream(pa.BufferReader(file.read())).read_all()
