"""Golden inputs: a few held-out cutouts that a run keeps, to prove later that a model is still the same."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
"""Times as many rows are looked at as are kept, because some have NaN in the crop."""

Read = Callable[["NDArray[np.int64]"], "NDArray[np.float32]"]


class NoTestRows(InputError):
    """There is nothing held out to choose golden inputs from."""


@dataclass(frozen=True)
class Golden:
    """Cutouts and, once a model was frozen, what it says of them.

    Attributes
    ----------
    galaxy_id : (N,) str
    label : (N,) int8
    cutouts : (N, M, M, 3) float32
        In nanomaggies, without NaN in the crop.
    logits : (N, K) float64
        Of each member; K = 0 before a model is frozen.
    """

    galaxy_id: NDArray[np.str_]
    label: NDArray[np.int8]
    cutouts: NDArray[np.float32]
    logits: NDArray[np.float64]


def choose(manifest: pa.Table, read: Read, crop: int, fold: str | None = None) -> Golden:
    """Golden inputs of a manifest: half lenses, half others, of the test split, by the smallest MD5 keys of their ids.

    Where the test split has too few of one class the other makes up for it.

    Parameters
    ----------
    read : callable
        Whole cutouts of manifest rows: (n,) in, (n, M, M, 3) float32 out.
    crop : int
        Pixels that the model sees; NaN outside it does not matter.

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
    rooms = [min(len(rows), max(half, COUNT - len(other))) for rows, other in zip(found, found[::-1], strict=True)]
    rows = np.concatenate([rows[:room] for rows, room in zip(found, rooms, strict=True)])[:COUNT]
    if not len(rows):
        raise NoTestRows("every test cutout looked at has NaN in the crop", "see `lensctl gate pixels --crop`")
    return Golden(ids[rows], label[rows], read(rows), np.empty((len(rows), 0)))


def keep(folder: Path, manifest: pa.Table, read: Read, crop: int, fold: str | None = None) -> bool:
    """Choose golden inputs and save them in a run's folder; False where the manifest has no usable test row."""
    try:
        golden = choose(manifest, read, crop, fold)
    except NoTestRows:
        return False
    write_golden(folder / NAME, golden)
    return True


def _finite(rows: NDArray[np.int64], read: Read, crop: int) -> NDArray[np.int64]:
    """The first rows whose crop is finite."""
    rows = rows[: CANDIDATES * COUNT]
    if not len(rows):
        return rows
    cutouts = read(rows)
    start = (cutouts.shape[1] - crop) // 2
    seen = cutouts[:, start : start + crop, start : start + crop]
    return rows[np.isfinite(seen).all(axis=(1, 2, 3))][:COUNT]


def write_golden(path: Path, golden: Golden) -> None:
    """Save as .npz: same content, same bytes."""
    arrays: dict[str, Any] = {
        **vars(golden),
        "cutouts": golden.cutouts.astype("<f4"),
        "logits": golden.logits.astype("<f8"),
    }
    np.savez(path, **arrays)


def read_golden(path: Path) -> Golden:
    """What `write` saved; nothing is unpickled. InputError where it is not there or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            golden = Golden(file["galaxy_id"], file["label"], file["cutouts"], file["logits"])
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file", "train again; a run keeps its golden inputs there") from error
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not whole golden inputs", "it was damaged; train or freeze again") from error
    n = len(golden.galaxy_id)
    whole = golden.cutouts.ndim == 4 and golden.cutouts.dtype == np.float32 and len(golden.label) == n > 0
    if not whole or len(golden.cutouts) != n or golden.logits.shape[:1] != (n,):
        raise InputError(f"{path}: not whole golden inputs", "it was damaged; train or freeze again")
    return golden
