"""Cutouts from brick coadds, catalogue to store, beside the bare fitsio loop, cutana and astrocut, in one run.

Bricks are as large and compressed as the survey's; many are the same few files under other names. cutana and astrocut
are no part of the project: they are installed for the run alone, and said to be absent where that cannot be.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.benchmarks import peers

WORKERS = 2
SIDE, SIZE, BANDS = 3600, 101, "grz"
SCALE_DEG = 0.262 / 3600
FILES = 2  # bricks that are really made
ROUNDS = 3
PEERS = {"cutana": ["cutana"], "astrocut": ["astrocut", "zarr"]}
PEER_LIMIT = 5.0


@dataclass(frozen=True)
class Case:
    """Cutouts in each of some bricks, the share of the bare loop's speed to reach, and bricks that a peer gets."""

    per_brick: int
    bricks: int
    limit: float
    bricks_of_peer: dict[str, int]


CASES = (
    Case(500, 24, 0.8, {"cutana": 4, "astrocut": 1}),
    Case(5000, 6, 0.4, {"cutana": 2}),
    Case(2, 4096, 0.8, {"cutana": 16, "astrocut": 16}),
)


def figures() -> Iterator[dict[str, object]]:
    """For each case the cutouts per second of ours, of the bare loop and of the peers, and whether the limits hold."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        made = [make_brick(here / "made", f"{i:04d}p000", seed=i) for i in range(FILES)]
        beside = {name: installed(name, here) for name in PEERS}
        for case in CASES:
            table, x, y = objects(here / f"{case.per_brick}", made, case)
            root = here / f"{case.per_brick}"
            ways = {"fitsio": partial(bare, root, table, x, y), "lensctl": partial(ours, here, case, table)}
            rates: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(ROUNDS):  # in turn, because the machine's speed drifts
                for name, way in ways.items():
                    rates[name].append(len(x) / seconds(way))
            ratio = statistics.median(a / b for a, b in zip(rates["lensctl"], rates["fitsio"], strict=True))
            found: dict[str, object] = {
                "per_brick": case.per_brick,
                "cutouts": len(x),
                "workers": WORKERS,
                **{f"{name}_per_second": round(statistics.median(rate), 1) for name, rate in rates.items()},
                "of_fitsio": round(ratio, 3),
                "limit": case.limit,
            }
            holds = ratio >= case.limit
            for name, bricks in case.bricks_of_peer.items():
                rate = beside[name](root, table.slice(0, bricks * case.per_brick))
                found[f"{name}_per_second"] = rate if isinstance(rate, str) else round(rate, 1)
                if name == "cutana" and case.per_brick == 500 and not isinstance(rate, str):
                    times = statistics.median(rates["lensctl"]) / rate
                    found |= {"times_cutana": round(times, 1), "limit_cutana": PEER_LIMIT}
                    holds = holds and times >= PEER_LIMIT
            yield {**found, "holds": holds}
            shutil.rmtree(root)


def seconds(work: Callable[[], None]) -> float:
    """How long it takes, after what was written before has reached the disk."""
    os.sync()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def make_brick(folder: Path, name: str, seed: int) -> list[Path]:
    """Three bands of sky noise with galaxies on it, tile-compressed as the survey's coadds are."""
    import fitsio

    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-40:41, -40:41]
    files = []
    for band in BANDS:
        sky = random.normal(0.0, 0.01, (SIDE, SIDE)).astype(np.float32)
        for _ in range(1500):
            row, column = random.integers(41, SIDE - 41, 2)
            galaxy = random.pareto(1.5) * np.exp(-np.hypot(x, y) / random.uniform(1.5, 8.0))
            sky[row - 40 : row + 41, column - 40 : column + 41] += galaxy.astype(np.float32)
        cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 0.0, "CRPIX1": 1800.5}
        cards |= {"CRPIX2": 1800.5, "CD1_1": -SCALE_DEG, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE_DEG}
        cards |= {"LSDR": "DR10", "DRVERSIO": 10000, "MAGZERO": 22.5}
        file = folder / f"{name}-{band}.fits.fz"
        tiles = {"compress": "RICE", "tile_dims": (100, 100), "qlevel": 16.0, "qmethod": "SUBTRACTIVE_DITHER_2"}
        fitsio.write(str(file), sky, header=[{"name": k, "value": v} for k, v in cards.items()], **tiles)
        files.append(file)
    return files


def objects(root: Path, made: list[list[Path]], case: Case) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Lay out the bricks of a case, and give its objects with their pixels: x, y (N,) int, wholly inside."""
    from astropy.wcs import WCS

    names = [f"{i:04d}p000" for i in range(case.bricks)]
    for i, name in enumerate(names):
        folder = root / "coadd" / name[:3] / name
        folder.mkdir(parents=True)
        for band, file in zip(BANDS, made[i % len(made)], strict=True):
            os.link(file, folder / f"legacysurvey-{name}-image-{band}.fits.fz")
    count = case.bricks * case.per_brick
    x, y = np.random.default_rng(1).integers(SIZE // 2, SIDE - SIZE // 2, (2, count))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, 0.0], [1800.5, 1800.5]
    wcs.wcs.cd = [[-SCALE_DEG, 0.0], [0.0, SCALE_DEG]]
    ra, dec = wcs.all_pix2world(x, y, 0)
    bricks = np.repeat(names, case.per_brick)
    ids = [f"{brick}_{i}" for i, brick in enumerate(bricks)]
    return pa.table({"galaxy_id": ids, "brickname": bricks.tolist(), "ra": ra, "dec": dec}), x, y


def ours(folder: Path, case: Case, table: pa.Table) -> None:
    """A whole store, with its quality columns."""
    from lensctl.io.cutouts.layout import Layout
    from lensctl.io.imaging.coadds import CoaddSource
    from lensctl.io.imaging.making import make
    from lensctl.io.provenance.steps import Step

    source = CoaddSource(str(folder / f"{case.per_brick}"), processes=WORKERS)
    made = make(
        table,
        str(folder / "a.zarr"),
        source,
        Layout(table.num_rows, SIZE),
        (Step("cutout", {}),),
        overwrite=True,
    )
    assert made.statuses == {"ok": table.num_rows}


def bare(root: Path, table: pa.Table, x: np.ndarray, y: np.ndarray) -> None:
    """The bare loop: each brick's planes read by fitsio into an array of cutouts, and nothing else."""
    from lensctl.io import workers

    bricks = table["brickname"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], bricks[1:] != bricks[:-1]]))
    parts = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(bricks)], strict=True)]
    tasks = [(root / "coadd" / bricks[p][0][:3] / bricks[p][0], x[p], y[p]) for p in parts]
    bunch = max(1, len(tasks) // (WORKERS * 16))
    bunches = [tasks[i : i + bunch] for i in range(0, len(tasks), bunch)]
    assert sum(workers.each(bare_bricks, bunches, WORKERS)) == len(bricks)


def bare_bricks(tasks: list[tuple[Path, np.ndarray, np.ndarray]]) -> int:
    """Some bricks, one after the other: whole planes where that is faster, else sub-regions."""
    import fitsio

    done = 0
    for folder, x, y in tasks:
        images = np.empty((len(x), SIZE, SIZE, len(BANDS)), np.float32)
        for b, band in enumerate(BANDS):
            with fitsio.FITS(str(folder / f"legacysurvey-{folder.name}-image-{band}.fits.fz")) as hdus:
                pixels = hdus[1].read() if len(x) > 100 else hdus[1]
                for i, (row, column) in enumerate(zip(y - SIZE // 2, x - SIZE // 2, strict=True)):
                    images[i, ..., b] = pixels[row : row + SIZE, column : column + SIZE]
        done += len(images)
    return done


Peer = Callable[[Path, pa.Table], "float | str"]


def installed(name: str, folder: Path) -> Peer:
    """A peer in an environment of its own, which goes with the folder."""
    try:
        return partial(peer, name, peers.installed(folder / name, *PEERS[name]) / "python")
    except peers.Absent as absent:
        why = str(absent)
        return lambda root, table: why


def peer(name: str, python: Path, root: Path, table: pa.Table) -> float | str:
    """Cutouts per second of a peer, as it says itself: without the start of Python."""
    import pyarrow.csv

    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        files = [
            [f"{root}/coadd/{brick[:3]}/{brick}/legacysurvey-{brick}-image-{band}.fits.fz" for band in BANDS]
            for brick in table["brickname"].to_pylist()
        ]
        rows = {
            "SourceID": table["galaxy_id"],
            "RA": table["ra"],
            "Dec": table["dec"],
            "diameter_pixel": [SIZE] * table.num_rows,
            "fits_file_paths": [json.dumps(paths) for paths in files],
        }
        pyarrow.csv.write_csv(pa.table(rows), f"{folder}/catalogue.csv")
        script = Path(__file__).parent / "coadd_peers" / f"by_{name}.py"
        command = [str(python), str(script), f"{folder}/catalogue.csv", folder, str(WORKERS), str(table.num_rows)]
        got = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=900)
        said = got.stdout.strip().splitlines()
        try:
            return float(json.loads(said[-1])["per_second"])
        except (IndexError, ValueError, KeyError):
            return f"failed: {(got.stderr.strip().splitlines() or ['nothing said'])[-1][:160]}"
