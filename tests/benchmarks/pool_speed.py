"""`lensctl pool` on sweeps like DR10's (129 columns, 501 bytes a row), in a warm cache: rows a second, and memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fitsio
import numpy as np

from lensctl.sky import catalogs

FILES, ROWS = 16, 500_000
LEAST_ROWS_A_SECOND = 1_000_000
MOST_BYTES = 1_500_000_000
TYPES, SHARES = ("PSF", "REX", "EXP", "DEV", "SER"), (0.45, 0.33, 0.10, 0.07, 0.05)


def write_sweeps(folder: Path, files: int = FILES, rows: int = ROWS) -> list[Path]:
    """Sweeps of 10 x 5 degrees with made-up objects: a realistic share of types, masked and shallow rows."""
    random = np.random.default_rng(1)
    dtype = np.dtype([(name.upper(), catalogs.tractor_dtype()[name]) for name in catalogs.sweep_columns()])
    table = np.zeros(rows, dtype)
    for name in dtype.names or ():
        if table[name].dtype.kind == "f":
            table[name] = random.normal(1.0, 0.2, table[name].shape)
    table["TYPE"] = random.choice(TYPES, rows, p=SHARES).astype("S3")
    table["MASKBITS"] = np.where(random.random(rows) < 0.15, 2, 0)
    for band, least in zip("GRZ", (0, 0, 2), strict=True):
        table[f"NOBS_{band}"] = least + random.poisson(3, rows)
        table[f"FLUX_{band}"] = random.lognormal(0.5, 1.2, rows)
    table["SHAPE_R"], table["SERSIC"] = random.lognormal(-0.5, 0.6, rows), random.uniform(0.5, 6, rows)
    table["SHAPE_E1"], table["SHAPE_E2"] = random.normal(0, 0.2, (2, rows))
    template = folder / "template.fits"
    fitsio.write(str(template), table[:0], clobber=True)
    header = template.read_bytes().replace(b"NAXIS2  =                    0", b"NAXIS2  = %20d" % rows)
    template.unlink()
    padding = b"\0" * (-table.nbytes % 2880)
    table = table.astype(dtype.newbyteorder(">"))
    paths = []
    for i in range(files):
        ra, dec = 10 * (i % 30), 5 * (i // 30)
        brick = np.sort(random.integers(0, 800, rows))
        table["RA"] = ra + (brick % 40 + random.random(rows)) / 4
        table["DEC"] = dec + (brick // 40 + random.random(rows)) / 4
        table["BRICKID"], table["OBJID"] = 1000 * i + brick, np.arange(rows) - np.searchsorted(brick, brick)
        names = np.array([f"{4 * i + b // 200:02d}{b:03d}p{dec:02d}" for b in range(800)], "S8")
        table["BRICKNAME"] = names[brick]
        path = folder / f"sweep-{ra:03d}p{dec:03d}-{ra + 10:03d}p{dec + 5:03d}.fits"
        path.write_bytes(b"".join((header, table.tobytes(), padding)))
        paths.append(path)
    return paths


def warmed(paths: list[Path]) -> None:
    """Read files once, so that they lie in the machine's memory, when all that was written lies on its disk."""
    os.sync()
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def resident_bytes(root: int) -> int:
    """Memory of a process and its children: each shared page counted in shares, where the kernel tells."""
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            for task in Path(f"/proc/{process}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, StopIteration):
            continue
    return total


def measured(arguments: list[str], folder: Path) -> tuple[float, float, int]:
    """Seconds, seconds of all cores together, and peak memory of `lensctl ARGUMENTS`, a process with its workers."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "lensctl", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = [0]

    def watch() -> None:
        while process.poll() is None:
            peak[0] = max(peak[0], resident_bytes(process.pid))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    if process.wait():
        raise RuntimeError(f"lensctl {arguments[0]} ended with {process.returncode}")
    seconds = time.perf_counter() - started
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak[0]


def figures() -> Iterator[dict[str, object]]:
    """Rows a second of the whole command, start to end, two workers; and its greatest memory."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths = write_sweeps(folder)
        (folder / "lenses.csv").write_text("name,ra,dec,grading\nDESI-1,1.0,1.0,confident\n")
        warmed(paths)
        arguments = ["pool", *map(str, paths), "pool.parquet", "--lenses", "lenses.csv", "--workers", "2"]
        seconds, core_seconds, peak = measured(arguments, folder)
        rate = FILES * ROWS / seconds
        yield {
            "rows": FILES * ROWS,
            "seconds": round(seconds, 2),
            "core_seconds": round(core_seconds, 2),
            "rows_a_second": round(rate),
            "limit": LEAST_ROWS_A_SECOND,
            "holds": rate >= LEAST_ROWS_A_SECOND,
        }
        yield {"peak_bytes": peak, "limit": MOST_BYTES, "holds": peak <= MOST_BYTES}
