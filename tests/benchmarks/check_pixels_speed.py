"""What comparing pixels with their recorded SHA-256 costs each reader, as a share of its processor time."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
import torch

from lensctl.export import export
from lensctl.gates.running import gate
from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.io.cutouts.recorded import Recorded
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.provenance.steps import Step
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.networks import architectures, predict
from lensctl.learning.networks.checkpoint import ModelCard, ScoringModel
from lensctl.learning.networks.scoring import score_table
from lensctl.learning.training.early_stopping import RedFlag
from lensctl.learning.training.settings import Resources, TrainConfig
from lensctl.show.montage import choose, draw, open_source
from lensctl.train.fitting import fit
from tests.toys.manifests import galaxies, toy_manifest, with_store

LENSES, OTHERS, CROP, BATCH, ROUNDS = 200, 824, 64, 256, 3
MOST = 0.05
SWITCHED = ("export", "score", "gate")
"""Readers with --no-check-pixels, or --set shortcut.check_pixels=no."""
ON_CPU = {"resnet18": 128, "shielded": 512}
ON_CUDA = dict.fromkeys(architectures.ARCHITECTURES, 40_960)
"""Cutouts to score; rows repeat."""


def figures() -> Iterator[dict[str, object]]:
    """Every reader, in memory; by processor time, because other work would drown a difference of wall times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        table = toy_manifest(LENSES, OTHERS)
        path = with_store(folder, table, galaxies(table))
        store = open_store(folder / "cutouts.zarr")
        yield beside("export", store.n, partial(exported, store, folder / "npz"))
        device = predict.pick_device("auto")
        for arch, count in (ON_CUDA if device.type == "cuda" else ON_CPU).items():
            yield beside(f"score {arch} on {device.type}", count, partial(scored, store, arch, count))
        yield beside("gate shortcut", store.n, partial(judged, path))
        yield beside("train, one epoch of shielded", store.n, partial(trained, path, folder / "run"))
        yield beside("show, a montage of 64", 64, partial(drawn, path))


def beside(what: str, cutouts: int, work: Callable[[bool], object]) -> dict[str, object]:
    """One reader."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(ROUNDS + 1):
        for check in (True, False):
            started = time.process_time()
            work(check)
            if number:  # the first round warms up
                seconds[check].append(time.process_time() - started)
    share = statistics.median(1 - without / with_ for with_, without in zip(seconds[True], seconds[False], strict=True))
    switched = what.split()[0] in SWITCHED
    return {
        "what": what,
        "cutouts_per_processor_second": round(cutouts / statistics.median(seconds[True])),
        "unchecked_per_processor_second": round(cutouts / statistics.median(seconds[False])),
        "share_of_time": round(share, 3),
        "limit": MOST,
        "has_a_switch": switched,
        "holds": switched or share <= MOST,
    }


@contextmanager
def comparing(check: bool) -> Iterator[None]:
    """Readers without a switch, with and without the comparison."""
    if check:
        yield
        return
    with patch.object(Recorded, "refuse_other_pixels", lambda *args: None):
        yield


def exported(store: Store, folder: Path, check: bool) -> None:
    export(store.path, folder, check_pixels=check, workers=1, overwrite=True)


def scored(store: Store, arch: str, count: int, check: bool) -> None:
    network = architectures.build(arch).to(predict.pick_device("auto")).eval()
    card = ModelCard(arch, CROP, Normalisation("bands", mean=(0.02,) * 3, std=(0.1,) * 3))
    model = ScoringModel((network,), card, "sha256:0", (Step("train", {}),), "run")
    index = store.index.take(np.arange(count) % store.n)
    read = partial(store.read, crop=CROP, check=check)
    score_table(model, index, lambda rows: read(rows % store.n), batch_size=BATCH)
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def judged(manifest: Path, check: bool) -> None:
    gate("shortcut", manifest, set=[f"shortcut.check_pixels={'yes' if check else 'no'}"])


def trained(manifest: Path, folder: Path, check: bool) -> None:
    table = pq.read_table(manifest)
    config = TrainConfig(arch="shielded", crop=CROP, epochs=1)
    with comparing(check), suppress(RedFlag):  # one epoch may learn nothing
        for _ in fit(table, Cutouts(table, manifest.parent), config, folder, resources=Resources(), overwrite=True):
            pass


def drawn(manifest: Path, check: bool) -> None:
    with comparing(check):
        draw(choose(open_source(str(manifest)), [""], 64))
