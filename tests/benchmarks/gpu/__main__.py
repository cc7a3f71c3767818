"""Measure on the card that is there, and print a line of JSON for each figure, with the card's name.

python -m tests.benchmarks.gpu            all, in eight minutes at most: what would begin too late is left out, and said
python -m tests.benchmarks.gpu --small    the same on any machine in seconds, to see that it runs; no figure of a card
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from tests.benchmarks.gpu import measures
from tests.benchmarks.gpu.crops import FULL, SMALL, feeds

STARTED = time.monotonic()
BUDGET_SECONDS = 480
ONE_ROWS = 40_000
"""Rows of each of two trainings at once."""


def main(small: bool, one: bool) -> int:
    """All measurements, the most wanted first; or, for one of two processes, the rate alone."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not small and device.type != "cuda":
        print("error: no CUDA device\n  fix: --small runs on the CPU", file=sys.stderr)
        return 2
    size = SMALL if small else FULL
    if one:
        size = size if small else replace(size, rows=ONE_ROWS, steps=3 * size.steps)
        found, _ = measures.rate(size, feeds(size, device), device)
        print(json.dumps({"cutouts_per_second": round(found, 1)}))
        return 0
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    made = feeds(size, device)
    parts: list[tuple[str, int, Callable[[], measures.Figures]]] = [
        ("two epochs", 150, lambda: measures.epochs(size, made, device)),
        ("beside a bare loop", 45, lambda: measures.beside_a_bare_loop(size, made, device)),
        ("score from memory", 30, lambda: measures.scoring(size, made, device)),
        ("precision", 30, lambda: measures.precisions(size, made, device)),
        ("two at once", 75, lambda: measures.two_at_once(small)),
        ("compiled", 100, lambda: measures.compiled(size, made, device)),
    ]
    for what, seconds, measure in parts:
        late = time.monotonic() - STARTED + seconds > BUDGET_SECONDS
        figures = {"skipped": "no time left"} if late else measure()
        facts = {"benchmark": "gpu", "what": what, "device": name, "small": small, "torch": torch.__version__}
        print(json.dumps({**facts, **figures}))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main("--small" in sys.argv[1:], "--one" in sys.argv[1:]))
