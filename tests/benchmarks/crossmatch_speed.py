"""`lensctl crossmatch`: 5,104 lenses against 10 million objects in sweeps like DR10's, in a warm cache."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import fitsio
import numpy as np

from tests.benchmarks.pool_speed import measured, warmed, write_sweeps

FILES, ROWS, LENSES, OUTSIDE = 20, 500_000, 5_104, 316
MOST_SECONDS = 20.0


def write_lenses(path: Path, sweeps: list[Path]) -> None:
    """Lenses at 0.5 arcsec from an object each, evenly over the sweeps; some where there is none."""
    random = np.random.default_rng(2)
    lines = ["name,ra,dec,grading"]
    for i, sweep in enumerate(sweeps):
        count = (LENSES - OUTSIDE) // len(sweeps) + (i < (LENSES - OUTSIDE) % len(sweeps))
        rows = np.sort(random.choice(ROWS, count, replace=False))
        for row in fitsio.read(str(sweep), columns=["RA", "DEC"], rows=rows):
            lines.append(f"DESI-{len(lines)},{row['RA']},{row['DEC'] + 0.5 / 3600},probable")
    lines += [f"DESI-out-{i},{i},-45.0,confident" for i in range(OUTSIDE)]
    path.write_text("\n".join(lines) + "\n")


def figures() -> Iterator[dict[str, object]]:
    """Seconds of the whole command, start to end, two workers; and its greatest memory."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sweeps = write_sweeps(folder, FILES, ROWS)
        write_lenses(folder / "lenses.csv", sweeps)
        warmed(sweeps)
        arguments = ["crossmatch", "lenses.csv", *map(str, sweeps), "positives.parquet", "--workers", "2"]
        seconds, core_seconds, peak = measured(arguments, folder)
        yield {
            "lenses": LENSES,
            "objects": FILES * ROWS,
            "seconds": round(seconds, 2),
            "core_seconds": round(core_seconds, 2),
            "limit": MOST_SECONDS,
            "peak_bytes": peak,
            "holds": seconds <= MOST_SECONDS,
        }
