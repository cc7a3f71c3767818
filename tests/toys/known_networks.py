"""Frozen networks whose logit is a known function of the pixels, in nanomaggies: nothing is learned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import torch

from lensctl.freeze.folder import fill
from lensctl.io.provenance.steps import stamp
from lensctl.io.tables.files import write_table
from lensctl.learning.data import normalise
from lensctl.learning.networks import architectures
from lensctl.learning.training.settings import TrainConfig
from lensctl.rules import quality
from lensctl.train.fitting import fit
from tests.toys import frozen, pixels, rings
from tests.toys.hosts import Hosts, make_hosts, pixels_of, rows_of
from tests.toys.measured_injections import places

SIZE = 65
ANNULUS_PX = (4.0, 14.0)
"""1.0 to 3.7 arcsec."""

LEAST_G, SLOPE = 4.0, 4.0
LEAST_RATIO, LEAST_UNEVEN, LEAST_PEAK = 0.34, 3.0, 0.04
HOST_G_OVER_Z = 10**-0.92
"""Colour of the made-up hosts, whose profile is the same in all bands."""

WORST_PSFSIZE, MARK = 1.4, (0, 0)
"""Above this psfsize (arcsec) one network is blind; it reads it off a pixel of r, in which the hosts have it."""

NEVER = -30.0
CONFIG = TrainConfig(
    crop=SIZE, normalise="bands", positive_share="data", epochs=1, batch_size=16, lr=1e-12, lr_end=0.0, shift=0
)
"""Steps smaller than the weights' last bit."""


def annulus(size: int = SIZE) -> np.ndarray:
    """(size, size) bool: pixels whose flux is seen."""
    axis = np.arange(size) - size // 2
    radius = np.hypot(axis[:, None], axis[None, :])
    return (radius >= ANNULUS_PX[0]) & (radius < ANNULUS_PX[1])


def known(name: str, images: np.ndarray) -> np.ndarray:
    """The logit of a network for images (N, S, S, 3), by numpy: (N,)."""
    g, r = (images[..., band].astype(np.float64) for band in (0, 1))
    seen = annulus(images.shape[1])
    if name == "colour":
        return SLOPE * 10 * (g[:, seen].sum(axis=1) / np.maximum(r[:, seen].sum(axis=1), 0.01) - LEAST_RATIO)
    if name == "peak":
        excess = g - HOST_G_OVER_Z * images[..., 2].astype(np.float64)
        return 100 * SLOPE * (excess[:, seen].max(axis=1) - LEAST_PEAK)
    if name == "shape":
        return SLOPE * (abs(r - r[:, ::-1, ::-1])[:, seen].sum(axis=1) - LEAST_UNEVEN)
    logit = SLOPE * (g[:, seen].sum(axis=1) - LEAST_G)
    return np.where(r[:, *MARK] > WORST_PSFSIZE, NEVER, logit) if name == "blind" else logit


class Known(torch.nn.Module):
    """What `known` computes, of images as a normalisation has made them."""

    def __init__(self, name: str, scale: normalise.Normalisation) -> None:
        super().__init__()
        self.name = name
        for what, values in (("mean", scale.mean), ("std", scale.std)):
            self.register_buffer(what, torch.tensor(values)[None, :, None, None])
        self.register_buffer("seen", torch.from_numpy(annulus()).float())
        self.fc = architectures.Head(1, 0.0)
        slope, least = {
            "colour": (10 * SLOPE, LEAST_RATIO),
            "shape": (SLOPE, LEAST_UNEVEN),
            "peak": (100 * SLOPE, LEAST_PEAK),
        }.get(name, (SLOPE, LEAST_G))
        with torch.no_grad():
            self.fc.weight.fill_(slope)
            self.fc.bias.fill_(-slope * least)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) to (B, 1)."""
        nanomaggies = x * self.std + self.mean
        g, r = nanomaggies[:, 0], nanomaggies[:, 1]
        if self.name == "colour":
            return self.fc((self._sum(g) / self._sum(r).clamp_min(0.01))[:, None])
        if self.name == "peak":
            return self.fc(((g - HOST_G_OVER_Z * nanomaggies[:, 2]) * self.seen).amax(dim=(1, 2))[:, None])
        if self.name == "shape":
            return self.fc(self._sum((r - r.flip(1, 2)).abs())[:, None])
        logit = self.fc(self._sum(g)[:, None])
        if self.name != "blind":
            return logit
        return torch.where(r[:, MARK[0], MARK[1], None] > WORST_PSFSIZE, torch.full_like(logit, NEVER), logit)

    def _sum(self, plane: torch.Tensor) -> torch.Tensor:
        return (plane * self.seen).sum(dim=(1, 2))


def _manifest() -> tuple[pa.Table, rings.InMemory]:
    """Rings, those of lenses brighter on one side, so that every network finds lenses rather than others."""
    table, cutouts = rings.manifest(160, size=SIZE, path="s.zarr")
    is_lens = np.flatnonzero(np.array(table["label"].to_pylist()) == 1)
    cutouts.images[is_lens, SIZE // 2 + 6 :] += np.float32(0.05)
    at = table.column_names.index("cutout_sha256")
    return table.set_column(at, "cutout_sha256", pa.array(quality.fingerprints(cutouts.images))), cutouts


def _scale() -> normalise.Normalisation:
    table, cutouts = _manifest()
    rows = np.flatnonzero(np.array(table["split"].to_pylist()) == "train")
    return normalise.fit("bands", SIZE, [cutouts.read(rows, SIZE)])


@contextmanager
def network(name: str) -> Iterator[None]:
    """A known network in the place of ResNet-18, and one thread."""
    threads, scale = torch.get_num_threads(), _scale()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        made = cast("dict[str, Any]", architectures.ARCHITECTURES)
        patch.setitem(made, "resnet18", lambda bands, dropout: Known(name, scale))
        yield
    torch.set_num_threads(threads)


def freeze(name: str, folder: Path) -> Path:
    """A frozen folder of a known network, with all that `freeze` asks for."""
    with network(name):
        table, cutouts = _manifest()
        store = pixels.make_store(folder / "s.zarr", cutouts.images, shard_rows=64)
        manifest = stamp(table.set_column(0, "galaxy_id", store.index["galaxy_id"]), frozen.chain_to_manifest())
        write_table(manifest, str(folder / "manifest.parquet"))
        for _ in fit(manifest, cutouts, CONFIG, folder / "run"):
            pass
        scores = frozen.scored(folder, manifest, cutouts, SIZE)
        write_table(scores, str(folder / "scores.parquet"))
        frozen.write_evaluation(folder, scores)
        frozen.write_gates(folder)
        (folder / "frozen").mkdir()
        fill(folder / "run", folder / "evaluation", [folder / "gates.jsonl"], folder / "frozen")
    return folder / "frozen"


def hosts(folder: Path, count: int, seed: int = 0, per_pixel: int = 5, off_px: int = 0) -> Hosts:
    """Galaxies of the test split with seeing on either side of the cliff, which is written into one pixel of r.

    They lie `off_px` beside where their store says.
    """
    random = np.random.default_rng(seed)
    ra, dec, pixel = places(count, per_pixel)
    good = random.random(count) < 0.5
    psfsize = np.where(good, random.uniform(1.1, 1.35, count), random.uniform(1.45, 1.7, count))
    changed = {
        "ra": ra,
        "dec": dec,
        "healpix_128": pixel,
        "psfsize_r": psfsize,
        "psfsize_g": 1.1 * psfsize,
        "psfdepth_r": 300 * np.exp(0.2 * random.normal(size=count)),
        "shape_r": np.exp(0.2 * random.normal(size=count)),
    }
    rows = rows_of(count, seed)
    for name, values in changed.items():
        at = rows.schema.get_field_index(name)
        rows = rows.append_column(name, pa.array(values)) if at < 0 else rows.set_column(at, name, pa.array(values))
    images, invvar = (np.roll(pixels, off_px, axis=2) for pixels in pixels_of(rows, SIZE, seed))
    images[:, MARK[0], MARK[1], 1] = psfsize
    return make_hosts(folder, size=SIZE, rows=rows, pixels=(images, invvar))
