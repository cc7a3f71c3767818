"""`lensctl --help` beside importing typer and rich: whole processes, in turn, because the machine's speed drifts."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

ROUNDS = 15
LIMIT = 1.5
HELP = [sys.executable, "-m", "lensctl", "--help"]
IMPORTS = [sys.executable, "-c", "import typer, rich"]


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def figures() -> Iterator[dict[str, object]]:
    """Median seconds of each, and the median of the ratios pair by pair."""
    pairs = [(_seconds(HELP), _seconds(IMPORTS)) for _ in range(ROUNDS)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    yield {
        "help_seconds": round(statistics.median(pair[0] for pair in pairs), 4),
        "imports_seconds": round(statistics.median(pair[1] for pair in pairs), 4),
        "ratio": round(ratio, 3),
        "limit": LIMIT,
        "holds": ratio <= LIMIT,
    }
