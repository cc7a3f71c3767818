"""A search beside cutting alone and scoring alone of the same galaxies, and its memory at 1, 3 and 10 times as many.

Bricks are as large and compressed as the survey's. The network is a ResNet-18 with random weights.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import fitsio
import numpy as np
import pyarrow as pa
import torch

from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.imaging.streaming import CutTask, Window, cut_blocks
from lensctl.io.provenance.steps import Step
from lensctl.io.tables.files import write_table
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.networks import architectures, predict
from lensctl.learning.networks.checkpoint import ModelCard, ScoringModel
from lensctl.learning.networks.scorer import Scorer
from lensctl.search import search
from tests.benchmarks.coadd_speed import SCALE_DEG, SIDE, make_brick
from tests.benchmarks.processes import most_held

BRICKS, PER_BRICK, CROP, WORKERS, ROUNDS = 96, 190, 64, 2, 2
LIMIT = 1.1
TIMES, LIMIT_MB = (1, 3, 10), 1536
MARGIN_PX = 60
ONCE = """
import os
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
from pathlib import Path
from tests.benchmarks import search_speed
search_speed.search_whole(Path({!r}), None)
"""
"""No module, whose imports (torch) the processes that cut would import again: `lensctl` is none either."""


def figures() -> Iterator[dict[str, object]]:
    """Seconds of a search and of its parts alone; peak memory of the whole tree of processes."""
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        make_sky(here)
        yield speed(here)
        for times in TIMES:
            yield memory(here, times)


def speed(here: Path) -> dict[str, object]:
    table = make_table(here / "t.parquet", PER_BRICK)
    found: dict[str, list[float]] = {"search": [], "cutting": [], "scoring": []}
    cores: dict[str, list[float]] = {name: [] for name in found}
    for number in range(ROUNDS + 1):
        for what, work in (("cutting", cut_alone), ("scoring", score_alone), ("search", search_whole)):
            started, used = time.perf_counter(), sum(os.times()[:4])
            work(here, table)
            if number:  # the first round warms up
                found[what].append(time.perf_counter() - started)
                cores[what].append(sum(os.times()[:4]) - used)
    ratio = statistics.median(s / (a + b) for s, a, b in zip(*found.values(), strict=True))
    return {
        "what": f"{table.num_rows} galaxies in {BRICKS} bricks, resnet18, {CROP} px, {WORKERS} processes",
        "device": predict.pick_device("auto").type,
        **{f"{what}_seconds": round(statistics.median(times), 2) for what, times in found.items()},
        **{f"{what}_core_seconds": round(statistics.median(times), 2) for what, times in cores.items()},
        "per_second": round(table.num_rows / statistics.median(found["search"]), 1),
        "of_its_parts": round(ratio, 3),
        "limit": LIMIT,
        "holds": ratio <= LIMIT,
    }


def cut_alone(here: Path, table: pa.Table) -> None:
    source = CoaddSource(str(here / "sky"))
    rows = Window(source.size, CROP).rows_at_once
    ra, dec = (table[name].to_numpy() for name in ("ra", "dec"))
    bricks = table["brickname"].to_pylist()
    parts = [slice(k, k + rows) for k in range(0, len(ra), rows)]
    tasks = (CutTask(k, tuple(bricks[part]), ra[part], dec[part]) for k, part in enumerate(parts))
    for _ in cut_blocks(source, CROP, tasks, WORKERS):
        pass


def score_alone(here: Path, table: pa.Table) -> None:
    scorer = Scorer(model(), device="auto")
    block = np.random.default_rng(0).normal(0, 0.1, (320, CROP, CROP, 3)).astype(np.float32)
    for start in range(0, table.num_rows, len(block)):
        scorer.member_logits(block[: table.num_rows - start])


def search_whole(here: Path, _: pa.Table | None) -> None:
    shutil.rmtree(here / "out", ignore_errors=True)
    with patch("lensctl.frozen.proof.checks.proven_with_thresholds", lambda *_, **__: (model(), [])):
        search("frozen", here / "t.parquet", here / "out", root=here / "sky", keep=100, workers=WORKERS)


def model() -> ScoringModel:
    """A network with random weights, as a frozen model is loaded."""
    torch.manual_seed(0)
    network = architectures.build("resnet18").eval()
    card = ModelCard("resnet18", CROP, Normalisation("bands", mean=(0.02,) * 3, std=(0.1,) * 3))
    return ScoringModel((cast("Any", network),), card, "sha256:0", (Step("train", {}),), "frozen")


def memory(here: Path, times: int) -> dict[str, object]:
    """The most that a search and its processes hold together, of `times` as many galaxies."""
    table = make_table(here / "t.parquet", PER_BRICK * times)
    peak = most_held([sys.executable, "-c", ONCE.format(str(here))])
    return {
        "what": f"memory of {table.num_rows} galaxies, {WORKERS} processes",
        "peak_mb": round(peak),
        "limit_mb": LIMIT_MB,
        "holds": peak <= LIMIT_MB,
    }


def make_sky(here: Path) -> None:
    """Bricks beside each other at the equator, of the pixels of one."""
    made = make_brick(here / "made", "0000p000", seed=1)
    for k, name in enumerate(names()):
        folder = here / "sky" / "coadd" / name[:3] / name
        folder.mkdir(parents=True)
        for band, file in zip("grz", made, strict=True):
            target = folder / f"legacysurvey-{name}-image-{band}.fits.fz"
            shutil.copy(file, target)
            with fitsio.FITS(str(target), "rw") as opened:
                opened[1].write_key("CRVAL1", centre(k))


def names() -> list[str]:
    return [f"{int(centre(k) * 10):04d}p000" for k in range(BRICKS)]


def centre(k: int) -> float:
    return 150.0 + 0.3 * k


def make_table(path: Path, per_brick: int) -> pa.Table:
    """Galaxies within the bricks, away from their edges; in the order of bricks."""
    random = np.random.default_rng(2)
    reach = (SIDE / 2 - MARGIN_PX) * SCALE_DEG
    offsets = random.uniform(-reach, reach, (2, BRICKS, per_brick))
    ra = (np.array([centre(k) for k in range(BRICKS)])[:, None] + offsets[0]).reshape(-1)
    bricks = np.repeat(names(), per_brick).tolist()
    ids = [f"{brick}_{k}" for k, brick in enumerate(bricks)]
    table = pa.table({"galaxy_id": ids, "brickname": bricks, "ra": ra, "dec": offsets[1].reshape(-1)})
    write_table(table, str(path), overwrite=True)
    return table
