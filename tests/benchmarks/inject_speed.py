"""`lensctl inject` as a whole command on one core, beside lenstronomy's images alone; memory and time as rows grow.

Seconds are those of the processor, all threads together, so that a busy machine changes both alike and the figures are
per core. Ours start Python, read and check the hosts' cutouts, measure gain and noise, render, measure and hash the
results, and write the store; of lenstronomy only the images count, see `inject_peers`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lensctl.io.cutouts.layout import Layout, index_rows
from lensctl.io.cutouts.store import open_store
from lensctl.io.cutouts.writer import StoreWriter
from lensctl.io.provenance.steps import Step
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.io.tables.files import write_table
from lensctl.rules import quality
from tests.benchmarks.processes import Ran, timed
from tests.toys.hosts import pixels_of, rows_of

PER_HOST, HOSTS, SIZE, SHARD_HOSTS = 5, 200, 101, 100
TIMES = (1, 3, 10)
ROUNDS, PEER_ROWS = 3, 150
LEAST_TIMES, MOST_MB, MOST_OF_LINEAR = 10.0, 1500.0, 1.1
LARGE_SOURCE_ARCSEC = 0.3
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def figures() -> Iterator[dict[str, object]]:
    """Injections a second and core beside the peer, and how time and memory grow with rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for times in TIMES:
            made_apart(folder / f"{times}", times * HOSTS)
        yield beside_lenstronomy(folder)
        yield growth(folder)


def beside_lenstronomy(folder: Path) -> dict[str, object]:
    """Smooth sources in three bands by both, in turn; the default mixture and one trace for all bands are told too."""
    rows = 3 * HOSTS * PER_HOST
    rounds = []
    for _ in range(ROUNDS):
        _, ours = injected(folder / "3", "--source-model", "sersic")
        rounds.append((rows / ours, peer(folder, "bands"), peer(folder, "once")))
    off = difference(folder)
    mixed, mixed_cpu = injected(folder / "3")
    times, times_once = (statistics.median(r[0] / r[way] for r in rounds) for way in (1, 2))
    return {
        "what": f"{rows} injections of smooth sources into cutouts of {SIZE} px, three bands",
        "per_cpu_second": round(statistics.median(r[0] for r in rounds), 1),
        "lenstronomy_per_cpu_second": round(statistics.median(r[1] for r in rounds), 1),
        "times_lenstronomy": round(times, 1),
        "limit": LEAST_TIMES,
        "lenstronomy_one_trace_per_cpu_second": round(statistics.median(r[2] for r in rounds), 1),
        "times_one_trace": round(times_once, 1),
        "mixed_per_cpu_second": round(rows / mixed_cpu, 1),
        "mixed_per_second": round(rows / mixed.seconds, 1),
        "difference_of_peak": off,
        "holds": times >= LEAST_TIMES,
    }


def growth(folder: Path) -> dict[str, object]:
    """Time and memory of the default command at 1, 3 and 10 times the rows."""
    runs = {times: injected(folder / f"{times}") for times in TIMES}
    cpu = {times: run[1] for times, run in runs.items()}
    over = {f"{many}x over {few}x": cpu[many] / cpu[few] * few / many for few, many in ((1, 3), (3, 10), (1, 10))}
    peak = max(run[0].peak_mb for run in runs.values())
    return {
        "what": f"{HOSTS * PER_HOST} injections, and 3 and 10 times as many",
        "cpu_seconds": [round(cpu[times], 1) for times in TIMES],
        "of_linear": {name: round(value, 2) for name, value in over.items()},
        "limit_of_linear": MOST_OF_LINEAR,
        "peak_mb": [round(runs[times][0].peak_mb) for times in TIMES],
        "limit_mb": MOST_MB,
        "holds": max(over.values()) <= MOST_OF_LINEAR and peak <= MOST_MB,
    }


def injected(folder: Path, *options: str) -> tuple[Ran, float]:
    """Run the command on one worker; its processor seconds too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "lensctl", "inject", folder / "hosts.parquet", folder / "hosts.zarr"]
    command += [folder / "injected.zarr", "--per-host", str(PER_HOST), "--workers", "1", "--overwrite", *options]
    ran = timed([str(word) for word in command], ONE_THREAD)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ran, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peer(folder: Path, way: str) -> float:
    """Injections a second of the processor that lenstronomy renders, of those that ours has just made."""
    words = [str(folder / "3" / "injected.zarr"), str(PEER_ROWS), str(folder / f"{way}.npz"), way]
    command = [sys.executable, "-m", "tests.benchmarks.inject_peers", *words]
    got = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **ONE_THREAD})
    said = json.loads(got.stdout.splitlines()[-1])
    return float(said["rows"] / said["cpu_seconds"])


def difference(folder: Path) -> dict[str, float]:
    """Greatest difference between the peer's image and our arcs over their peak: medians of rows, by source size.

    The peer's rays are as far apart for small sources as for large ones; ours are closer where a source is small.
    """
    store = open_store(folder / "3" / "injected.zarr")
    ours = store.read_plane("arcs", 0, PEER_ROWS)
    with np.load(folder / "bands.npz") as kept:
        theirs = kept["images"]
    off = (abs(theirs - ours).max(axis=(1, 2)) / ours.max(axis=(1, 2))).max(axis=1)
    large = store.index["source_r_half"].to_numpy()[:PEER_ROWS] > LARGE_SOURCE_ARCSEC
    return {"large sources": round(float(np.median(off[large])), 4), "small": round(float(np.median(off[~large])), 4)}


def made_apart(folder: Path, count: int) -> None:
    """`hosts` in a process of its own: what is started here is charged with the memory that this one holds."""
    maker = multiprocessing.get_context("spawn").Process(target=hosts, args=(folder, count))
    maker.start()
    maker.join()
    assert maker.exitcode == 0


def hosts(folder: Path, count: int) -> None:
    """Made-up galaxies with the noise of a coadd: hosts.parquet and hosts.zarr, written shard by shard."""
    folder.mkdir()
    table = rows_of(count)
    layout = Layout(count, SIZE, shard_rows=SHARD_HOSTS, planes=("invvar",))
    with begin_folder(str(folder / "hosts.zarr"), {"made": "up"}) as place:
        writer = StoreWriter(place, layout)
        for shard in range(layout.shards):
            start, stop = layout.span(shard)
            part = table.slice(start, stop - start)
            images, invvar = pixels_of(part, SIZE, seed=shard)
            index = {
                **quality.measure(images, layout.bands),
                **{name: part[name] for name in ("galaxy_id", "ra", "dec")},
                **{name: [word] * len(images) for name, word in (("source", "coadd"), ("layer", "ls-dr10"))},
                "pixel_scale_arcsec": np.full(len(images), 0.262),
                "offset_x_px": np.full(len(images), 0.2),
                "offset_y_px": np.full(len(images), -0.3),
                "cutout_sha256": quality.fingerprints(images),
            }
            writer.writer.write(shard, images, index_rows(layout, index), planes={"invvar": invvar})
        writer.finish((Step("cutout", {"made": "up"}),), {"source": "coadd"})
    write_table(table, str(folder / "hosts.parquet"))
