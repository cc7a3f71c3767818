"""Memory of `selection measure` at 1, 3 and 10 times as many injections, with a ResNet-18 of random weights."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from lensctl.frozen.proof import checks
from lensctl.selection import measure
from tests.benchmarks.inject_speed import HOSTS, PER_HOST, made_apart
from tests.benchmarks.processes import most_held
from tests.benchmarks.search_speed import model

TIMES, WORKERS = (1, 3, 10), 2
LIMIT_MB, MOST_GROWTH = 1536, 1.1
ONCE = """
import os
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
from pathlib import Path
from tests.benchmarks import measure_memory
measure_memory.measure_whole(Path({!r}))
"""
"""No module: the processes that inject would import it again, and torch with it."""


def figures() -> Iterator[dict[str, object]]:
    """The most that the command and its processes hold together."""
    with tempfile.TemporaryDirectory() as name:
        peaks = {times: peak(Path(name) / f"{times}", times * HOSTS) for times in TIMES}
    growth = max(peaks.values()) / peaks[TIMES[0]]
    yield {
        "what": f"memory of {HOSTS * PER_HOST} injections measured, and 3 and 10 times as many, {WORKERS} processes",
        "peak_mb": [round(value) for value in peaks.values()],
        "of_the_first": round(growth, 2),
        "limit_mb": LIMIT_MB,
        "holds": max(peaks.values()) <= LIMIT_MB and growth <= MOST_GROWTH,
    }


def peak(folder: Path, count: int) -> float:
    made_apart(folder, count)
    return most_held([sys.executable, "-c", ONCE.format(str(folder))])


def measure_whole(folder: Path) -> None:
    with patch.object(checks, "proven", lambda *_, **__: model()):
        measure(
            "frozen", folder / "hosts.parquet", folder / "hosts.zarr", folder / "m", per_host=PER_HOST, workers=WORKERS
        )
