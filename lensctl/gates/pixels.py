"""The pixels gate."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lensctl.comparing.arrays import booleans, texts
from lensctl.gates.registry import gate, setting
from lensctl.gates.shortcuts import blocks
from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.io.cutouts.store import is_store, open_store
from lensctl.rules import checks, quality, schema
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
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

    size: int = setting(
        LS_DR10.cutout_size_px, "side of a cutout, pixels", least=1, of=lambda survey: survey.cutout_size_px
    )
    max_failed: float = setting(0.01, "maximum fraction of cutouts marked as failed")
    max_empty: float = setting(
        MAX_EMPTY, "maximum fraction of exact zeros and NaN in any band of the inner pixels", least=0
    )
    crop: int = setting(0, "side of the central square that may hold no NaN, pixels; 0: check only the centre", least=0)


@dataclass
class _Faults:
    """Counts of each fault so far, and the first few ids."""

    counts: Counter[str] = field(default_factory=Counter)
    ids: dict[str, list[str]] = field(default_factory=dict)

    def add(self, fault: str, ids: NDArray[np.str_]) -> None:
        self.counts[fault] += len(ids)
        kept = self.ids.setdefault(fault, [])
        kept += ids[: checks.OFFENDERS_SHOWN - len(kept)].tolist()

    def check(self, fault: str, n: int) -> Check:
        return checks.none(GATE, fault, self.ids.get(fault, []), n, self.counts[fault], ADVICE.get(fault, ""))


SHAPE, MISSING, CENTRE, HALF_EMPTY, INFINITE, CHANGED, UNKNOWN, SOMEWHERE = (
    "cutouts of another shape",
    "cutouts with a missing band",
    "cutouts with NaN in the centre",
    "cutouts that are half empty",
    "cutouts with an infinite pixel",
    "cutouts whose pixels have changed",
    "cutouts without a recorded SHA-256",
    "cutouts with NaN anywhere",
)

ADVICE = {
    HALF_EMPTY: "they are used for training: earlier versions did not mark them; make the cutouts again, which marks "
    "them half_empty, or allow them with --set pixels.max_empty=FRACTION"
}
"""What to do about a fault."""


@gate(GATE, inputs="MANIFEST or STORE", settings=Settings)
def pixels(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """Every cutout used for training is complete: float32, of full size, in all bands, not half empty, unchanged.

    Rows marked as failed (cutout_ok false) are not used for training: their fraction is limited, but their pixels are
    not checked. All other cutouts are read, measured again and compared with their recorded SHA-256.
    """
    index, read = _open(inputs)
    schema.require(index, "galaxy_id", "cutout_ok", where=inputs.path)
    n = index.num_rows
    yield checks.some(GATE, "cutouts", n)
    if not n:
        return
    good = booleans(index, "cutout_ok")
    status = texts(index, "status") if "status" in index.column_names else np.full(n, "failed")
    failures = Counter(status[~good].tolist())
    note = ", ".join(f"{name or 'unknown'}: {count:,}" for name, count in sorted(failures.items()))
    yield checks.share(GATE, "share marked as failed", wilson(int((~good).sum()), n), (0.0, limits.max_failed), note)

    rows = np.flatnonzero(good)
    yield checks.some(GATE, "good cutouts", len(rows))
    if not len(rows):
        return
    shape = (limits.size, limits.size, len(inputs.survey.bands))
    faults, nan_somewhere = _inspect(index, read, rows, shape, limits)
    for fault in (SHAPE, MISSING, CENTRE, HALF_EMPTY, INFINITE):
        yield faults.check(fault, len(rows))
    if limits.crop:
        yield faults.check(_in_crop(limits.crop), len(rows))
    note = "use --crop N to check the training crop"
    yield Check(GATE, SOMEWHERE, True, nan_somewhere, n=len(rows), note=note)
    yield faults.check(CHANGED, len(rows))
    if "cutout_sha256" in index.column_names:
        yield faults.check(UNKNOWN, len(rows))


def _open(inputs: Inputs) -> tuple[pa.Table, Callable[[Ints], Images]]:
    """The index or manifest, and a function that reads cutouts by row."""
    if is_store(inputs.path):
        store = open_store(inputs.path)
        inputs.set_digest(store.digest)
        return store.index, functools.partial(store.read, check=False)  # the gate itself compares, and counts
    manifest = inputs.manifest
    schema.require(manifest, "galaxy_id", "cutout_path", "cutout_index", "cutout_ok", where=inputs.path)
    if not manifest.num_rows:
        return manifest, lambda rows: np.empty((0, 0, 0, 0), np.float32)
    return manifest, functools.partial(Cutouts(manifest, inputs.root).read, check=False)


def _inspect(
    index: pa.Table, read: Callable[[Ints], Images], rows: Ints, shape: tuple[int, int, int], limits: Settings
) -> tuple[_Faults, int]:
    """Faults among the good rows, and the number of cutouts with NaN anywhere."""
    recorded = index.select([name for name in ("galaxy_id", "cutout_sha256") if name in index.column_names])
    recorded = recorded.combine_chunks()

    def inspect_block(block: Ints) -> Mapping[str, NDArray[np.str_]]:
        block_table = recorded.take(block)
        ids, images = texts(block_table, "galaxy_id"), read(block)
        if images.shape[1:] != shape or images.dtype != np.float32:
            return {SHAPE: ids}
        found = {name: ids[bad] for name, bad in _pixel_faults(images, limits).items()}
        if "cutout_sha256" in block_table.column_names:
            known = texts(block_table, "cutout_sha256")
            found[UNKNOWN] = ids[known == ""]
            found[CHANGED] = ids[(known != "") & (known != quality.fingerprints(images))]
        return found

    faults = _Faults()
    for _, found in blocks.each_block(_blocks(index, rows), inspect_block):
        for fault, ids in found.items():
            faults.add(fault, ids)
    return faults, faults.counts[SOMEWHERE]


def _pixel_faults(images: Images, limits: Settings) -> dict[str, Ints]:
    """Indices of the cutouts in a block with each kind of pixel fault.

    Cutouts with a finite sum and no exact zero among the inner pixels have none; only the rest are measured.
    """
    crop = limits.crop
    middle, inner = quality.central(images.shape[1]), quality.inner(images.shape[1])
    with np.errstate(invalid="ignore", over="ignore"):
        finite = np.isfinite(images.reshape(len(images), -1).sum(axis=1))
    lit = (images[:, inner, inner] != 0).reshape(len(images), -1).all(axis=1)
    suspect = np.flatnonzero(~(finite & lit))
    suspect_images = images[suspect]
    measured = quality.measure(suspect_images, (), limits.max_empty)
    found = {
        MISSING: measured["status"] == "missing_band",
        CENTRE: np.isnan(suspect_images[:, middle, middle]).any(axis=(1, 2, 3)),
        HALF_EMPTY: measured["status"] == "half_empty",
        INFINITE: np.isinf(suspect_images).any(axis=(1, 2, 3)),
        SOMEWHERE: measured["has_nan"].astype(bool),
    }
    if crop:
        found[_in_crop(crop)] = ~np.isfinite(_crop(suspect_images, crop)).all(axis=(1, 2, 3))
    return {name: suspect[bad] for name, bad in found.items()}


def _blocks(index: pa.Table, rows: Ints) -> Iterator[Ints]:
    """Rows to read together, of one store; .npz cutouts one by one, because shapes may differ."""
    import pyarrow.compute as pc

    alone, store = np.zeros(index.num_rows, bool), np.zeros(index.num_rows, np.int64)
    if "cutout_path" in index.column_names:
        alone = np.asarray(index["cutout_index"].is_null().to_numpy(), bool)
        encoded = pc.dictionary_encode(index["cutout_path"].combine_chunks())
        store = np.asarray(pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False), np.int64)
    for start in range(0, len(rows), blocks.BLOCK_ROWS):
        block = rows[start : start + blocks.BLOCK_ROWS]
        stacked = block[~alone[block]]
        yield from (stacked[store[stacked] == one] for one in np.unique(store[stacked]))
        yield from np.split(block[alone[block]], int(alone[block].sum())) if alone[block].any() else ()


def _in_crop(crop: int) -> str:
    return f"cutouts with NaN in the central {crop} px"


def _crop(images: Images, crop: int) -> Images:
    size = images.shape[1]
    if crop > size:
        raise InputError(f"--crop {crop} is larger than cutouts of {size} px", "give a smaller crop")
    start = (size - crop) // 2
    return images[:, start : start + crop, start : start + crop]
