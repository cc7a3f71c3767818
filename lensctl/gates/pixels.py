"""The pixels gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lensctl.gates import blocks
from lensctl.gates.classes import texts, truths
from lensctl.gates.registry import gate, setting
from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.io.cutouts.store import is_store, open_store
from lensctl.rules import checks, quality, schema
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError
from lensctl.stats.intervals import wilson

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.gates.inputs import Inputs

    Images = NDArray[np.float32]
    Ints = NDArray[np.int64]

GATE = "pixels"


@dataclass(frozen=True)
class Settings:
    """Limits of the pixels gate."""

    size: int = setting(101, "pixels along a side", least=1)
    max_failed: float = setting(0.01, "greatest share of cutouts marked as failed")
    crop: int = setting(0, "refuse NaN in the central pixels of this many a side; 0: only in the centre", least=0)


@dataclass
class _Faults:
    """What was found so far: how many of each fault, and the first few ids."""

    counts: Counter[str] = field(default_factory=Counter)
    ids: dict[str, list[str]] = field(default_factory=dict)

    def add(self, fault: str, ids: NDArray[np.str_]) -> None:
        self.counts[fault] += len(ids)
        kept = self.ids.setdefault(fault, [])
        kept += ids[: checks.OFFENDERS_SHOWN - len(kept)].tolist()

    def check(self, fault: str, n: int) -> Check:
        return checks.none(GATE, fault, self.ids.get(fault, []), n, self.counts[fault])


SHAPE, MISSING, CENTRE, INFINITE, CHANGED, UNKNOWN, SOMEWHERE = (
    "cutouts of another shape",
    "cutouts with a missing band",
    "cutouts with NaN in the centre",
    "cutouts with an infinite pixel",
    "cutouts whose pixels have changed",
    "cutouts without a recorded SHA-256",
    "cutouts with NaN anywhere",
)


@gate(GATE, inputs="MANIFEST or STORE", settings=Settings)
def pixels(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """Every cutout that trains is whole: 101 x 101 float32 in three bands, no NaN in its centre, unchanged.

    Rows marked as failed (cutout_ok false) do not train: their share is limited, and their pixels are not judged.
    Every other cutout is read, block by block, measured anew, and compared with its recorded SHA-256.
    """
    index, read = _open(inputs)
    schema.require(index, "galaxy_id", "cutout_ok", where=inputs.path)
    n = index.num_rows
    yield checks.some(GATE, "cutouts", n)
    if not n:
        return
    good = truths(index, "cutout_ok")
    status = texts(index, "status") if "status" in index.column_names else np.full(n, "failed")
    told = Counter(status[~good].tolist())
    note = ", ".join(f"{name or 'unknown'}: {count:,}" for name, count in sorted(told.items()))
    yield checks.share(GATE, "share marked as failed", wilson(int((~good).sum()), n), (0.0, limits.max_failed), note)

    rows = np.flatnonzero(good)
    yield checks.some(GATE, "good cutouts", len(rows))
    if not len(rows):
        return
    faults, nan_somewhere = _inspect(index, read, rows, limits)
    for fault in (SHAPE, MISSING, CENTRE, INFINITE):
        yield faults.check(fault, len(rows))
    if limits.crop:
        yield faults.check(_in_crop(limits.crop), len(rows))
    note = "--crop N judges the crop that trains"
    yield Check(GATE, SOMEWHERE, True, nan_somewhere, n=len(rows), note=note)
    yield faults.check(CHANGED, len(rows))
    if "cutout_sha256" in index.column_names:
        yield faults.check(UNKNOWN, len(rows))


def _open(inputs: Inputs) -> tuple[pa.Table, Callable[[Ints], Images]]:
    """The index or manifest, and what reads the cutouts of some of its rows."""
    if is_store(inputs.path):
        store = open_store(inputs.path)
        inputs.judged(store.digest)
        return store.index, store.read
    manifest = inputs.manifest
    schema.require(manifest, "galaxy_id", "cutout_path", "cutout_index", "cutout_ok", where=inputs.path)
    if not manifest.num_rows:
        return manifest, lambda rows: np.empty((0, 0, 0, 0), np.float32)
    return manifest, Cutouts(manifest, inputs.root).read


def _inspect(index: pa.Table, read: Callable[[Ints], Images], rows: Ints, limits: Settings) -> tuple[_Faults, int]:
    """Faults of the good rows, and how many have NaN anywhere."""
    told = index.select([name for name in ("galaxy_id", "cutout_sha256") if name in index.column_names])
    told = told.combine_chunks()

    def look(block: Ints) -> Mapping[str, NDArray[np.str_]]:
        about = told.take(block)
        ids, images = texts(about, "galaxy_id"), read(block)
        if images.shape[1:] != (limits.size, limits.size, len(quality.BANDS)) or images.dtype != np.float32:
            return {SHAPE: ids}
        found = {name: ids[bad] for name, bad in _strange(images, limits.crop).items()}
        if "cutout_sha256" in about.column_names:
            known = texts(about, "cutout_sha256")
            found[UNKNOWN] = ids[known == ""]
            found[CHANGED] = ids[(known != "") & (known != quality.fingerprints(images))]
        return found

    faults = _Faults()
    for _, found in blocks.each_block(_blocks(index, rows), look):
        for fault, ids in found.items():
            faults.add(fault, ids)
    return faults, faults.counts[SOMEWHERE]


def _strange(images: Images, crop: int) -> dict[str, Ints]:
    """Which cutouts have which fault in their pixels: places in the block.

    A sum that is finite and some light in the centre of every band say of almost every cutout that it has none; the
    others are measured.
    """
    middle = quality.central(images.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):
        finite = np.isfinite(images.reshape(len(images), -1).sum(axis=1))
    lit = (images[:, middle, middle] != 0).any(axis=(1, 2)).all(axis=1)
    at = np.flatnonzero(~(finite & lit))
    few = images[at]
    measured = quality.measure(few)
    found = {
        MISSING: measured["status"] == "missing_band",
        CENTRE: np.isnan(few[:, middle, middle]).any(axis=(1, 2, 3)),
        INFINITE: np.isinf(few).any(axis=(1, 2, 3)),
        SOMEWHERE: measured["has_nan"].astype(bool),
    }
    if crop:
        found[_in_crop(crop)] = ~np.isfinite(_crop(few, crop)).all(axis=(1, 2, 3))
    return {name: at[bad] for name, bad in found.items()}


def _blocks(index: pa.Table, rows: Ints) -> Iterator[Ints]:
    """Rows to read together; an .npz alone, because each may have a shape of its own."""
    alone = np.zeros(index.num_rows, bool)
    if "cutout_path" in index.column_names:
        alone = np.asarray(index["cutout_index"].is_null().to_numpy(), bool)
    for start in range(0, len(rows), blocks.BLOCK_ROWS):
        block = rows[start : start + blocks.BLOCK_ROWS]
        together = block[~alone[block]]
        if len(together):
            yield together
        yield from np.split(block[alone[block]], int(alone[block].sum())) if alone[block].any() else ()


def _in_crop(crop: int) -> str:
    return f"cutouts with NaN in the central {crop} px"


def _crop(images: Images, crop: int) -> Images:
    size = images.shape[1]
    if crop > size:
        raise InputError(f"--crop {crop} is larger than cutouts of {size} px", "give a smaller crop")
    start = (size - crop) // 2
    return images[:, start : start + crop, start : start + crop]
