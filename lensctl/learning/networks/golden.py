"""Golden inputs: a few held-out cutouts saved with a run, to verify later that a model is unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.cutouts import npz
from lensctl.learning.data.row_selection import Fold, refold
from lensctl.rules.errors import InputError
from lensctl.rules.sampling_rule import order_key
from lensctl.rules.split import SEED

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

NAME = "golden.npz"
COUNT = 16
CANDIDATES = 4
"""Candidates read per golden input, because some have NaN in the crop."""

Read = Callable[["NDArray[np.int64]"], "NDArray[np.float32]"]


class NoTestRows(InputError):
    """There are no usable test rows to choose golden inputs from."""


@dataclass(frozen=True)
class Golden:
    """Cutouts and, once a model is frozen, their logits.

    Attributes
    ----------
    galaxy_id : (N,) str
    label : (N,) int8
    cutouts : (N, M, M, bands) float32
        In nanomaggies, without NaN in the crop.
    logits : (N, K) float64
        Logits of each member; K = 0 before freezing.
    """

    galaxy_id: NDArray[np.str_]
    label: NDArray[np.int8]
    cutouts: NDArray[np.float32]
    logits: NDArray[np.float64]


def choose(manifest: pa.Table, read: Read, crop: int, fold: str | None = None) -> Golden:
    """Choose golden inputs: half lenses, half non-lenses from the test split, by the smallest MD5 keys of their ids.

    If the test split has too few of one class, more of the other are used.

    Parameters
    ----------
    read : callable
        Reads whole cutouts of manifest rows: (n,) to (n, M, M, bands) float32.
    crop : int
        Side of the network's input, pixels; NaN outside it is allowed.

    Raises
    ------
    NoTestRows
        No usable test row.
    """
    table = manifest if fold is None else refold(manifest, Fold.parse(fold), SEED)
    split = np.array(table["split"].to_pylist(), dtype=object)
    usable = (split == "test") & np.asarray(table["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)
    ids = np.array(manifest["galaxy_id"].to_pylist(), dtype=str)
    label = manifest["label"].to_numpy().astype(np.int8)
    by_key = np.array(
        sorted(np.flatnonzero(usable), key=lambda row: (order_key(str(ids[row]), SEED), str(ids[row]))), dtype=np.int64
    )
    if not len(by_key):
        raise NoTestRows("the manifest has no usable rows with split 'test'", "see `lensctl gate splits`")
    found = [_finite(by_key[label[by_key] == kind], read, crop) for kind in (1, 0)]
    half = COUNT // 2
    counts = [min(len(rows), max(half, COUNT - len(other))) for rows, other in zip(found, found[::-1], strict=True)]
    rows = np.concatenate([rows[:count] for rows, count in zip(found, counts, strict=True)])[:COUNT]
    if not len(rows):
        raise NoTestRows("all candidate test cutouts have NaN in the crop", "see `lensctl gate pixels --crop`")
    return Golden(ids[rows], label[rows], read(rows), np.empty((len(rows), 0)))


def save_golden_inputs(folder: Path, manifest: pa.Table, read: Read, crop: int, fold: str | None = None) -> bool:
    """Choose golden inputs and save them in a run folder; False if the manifest has no usable test rows."""
    try:
        golden = choose(manifest, read, crop, fold)
    except NoTestRows:
        return False
    write_golden(folder / NAME, golden)
    return True


def _finite(rows: NDArray[np.int64], read: Read, crop: int) -> NDArray[np.int64]:
    """The first rows with a finite crop."""
    rows = rows[: CANDIDATES * COUNT]
    if not len(rows):
        return rows
    cutouts = read(rows)
    start = (cutouts.shape[1] - crop) // 2
    cropped = cutouts[:, start : start + crop, start : start + crop]
    return rows[np.isfinite(cropped).all(axis=(1, 2, 3))][:COUNT]


def write_golden(path: Path, golden: Golden) -> None:
    """Save as .npz; reproducible byte for byte."""
    arrays: dict[str, Any] = {
        **vars(golden),
        "cutouts": golden.cutouts.astype("<f4"),
        "logits": golden.logits.astype("<f8"),
    }
    np.savez(path, **arrays)


def read_golden(path: Path) -> Golden:
    """Read a file written by `write_golden`; InputError if it is missing or damaged."""
    try:
        data = npz.read_bounded(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", "train again; runs store their golden inputs there") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}", "the file is damaged; train again") from error
    return golden_of(data, str(path))


def golden_of(data: bytes, where: str) -> Golden:
    """Golden inputs from the bytes of their file, without unpickling; InputError if it is damaged."""
    try:
        file = npz.members_of(data)
        golden = Golden(*(file[name].copy() for name in ("galaxy_id", "label", "cutouts", "logits")))
    except (*npz.BROKEN, npz.Pickled, KeyError) as error:
        raise InputError(f"{where}: invalid golden inputs", "the file is damaged; train or freeze again") from error
    n = len(golden.galaxy_id)
    valid = golden.cutouts.ndim == 4 and golden.cutouts.dtype == np.float32 and len(golden.label) == n > 0
    if not valid or len(golden.cutouts) != n or golden.logits.shape[:1] != (n,):
        raise InputError(f"{where}: invalid golden inputs", "the file is damaged; train or freeze again")
    return golden
