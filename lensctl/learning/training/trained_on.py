"""Whether a manifest and its cutouts changed since training, and the splits used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.io.provenance import digests
from lensctl.learning.data.row_selection import Fold, refold
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.split import SEED

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

BLOCK_ROWS = 512
FIX = "train again on the current data, or restore the training data"


@dataclass(frozen=True)
class Data:
    """The current manifest, and the folder that its cutout_path is relative to."""

    manifest: pa.Table
    root: str | Path
    name: str = "manifest.parquet"


def refuse_changes(data: Data, manifest_digest: str, advance: Callable[[int], None] = lambda rows: None) -> None:
    """Raise InputError if the manifest, or the pixels of any of its cutouts, changed since training.

    Every cutout is read and its SHA-256 compared with the manifest, whose digest covers these hashes.

    Parameters
    ----------
    manifest_digest : str
        Digest of the training manifest.
    advance : callable
        Called with the number of cutouts just compared.
    """
    table = data.manifest
    found = digests.of_table(table)
    if found != manifest_digest:
        raise InputError(f"{data.name}: changed since training ({found[:19]}…, not {manifest_digest[:19]}…)", FIX)
    schema.require(table, "cutout_sha256", where=data.name)
    cutouts = Cutouts(table, data.root)
    usable = np.asarray(table["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)
    unknown = usable & table["cutout_sha256"].is_null().to_numpy()
    if unknown.any():
        raise InputError(
            f"{data.name}: no cutout_sha256 for {int(unknown.sum()):,} good cutouts, so they cannot be compared",
            "make these cutouts with lensctl, and write the manifest again",
        )
    advance(int((~usable).sum()))
    rows = np.flatnonzero(usable)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        cutouts.read(block)
        advance(len(block))


def splits(manifest: pa.Table, fold: str | None = None) -> dict[str, dict[str, Any]]:
    """Number of rows and lenses of each split, and the digest of its sorted ids.

    Parameters
    ----------
    manifest : pa.Table
        galaxy_id, split, label; ra, dec for a fold.
    fold : str, optional
        The training fold, such as "1/5", whose splits replace the manifest's.
    """
    schema.require(manifest, "galaxy_id", "split", "label", where="manifest")
    table = manifest if fold is None else refold(manifest, Fold.parse(fold), SEED)
    split = np.array(table["split"].to_pylist(), dtype=object)
    ids = np.array(table["galaxy_id"].to_pylist(), dtype=object)
    label = table["label"].to_numpy()
    return {
        name: {
            "rows": int((split == name).sum()),
            "lenses": int(label[split == name].sum()),
            "ids_digest": digests.of_many(sorted(ids[split == name].tolist())),
        }
        for name in sorted(set(split.tolist()))
    }
