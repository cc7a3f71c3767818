"""What cutouts a store or a folder of .npz holds, as a manifest needs to know it: whose, where, how good."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.doors import digests, npz, store
from lensctl.doors.provenance import Chain
from lensctl.doors.whole import is_s3
from lensctl.words import quality
from lensctl.words.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 256


@dataclass(frozen=True)
class Listing:
    """Cutouts: galaxy_id, cutout_path, cutout_index, cutout_ok, status, cutout_sha256; and where they come from."""

    rows: pa.Table
    digest: str
    chain: Chain


def listing(path: str, folder: Path) -> Listing:
    """The cutouts of a store or of a folder of .npz.

    Parameters
    ----------
    path : str
        Store (local or S3) or local folder.
    folder : Path
        What `cutout_path` is given relative to; a path on S3 is given whole.

    Raises
    ------
    InputError
        Neither a store nor a folder with .npz files, or a file in it that is damaged.
    """
    import pyarrow as pa

    if is_s3(path) or store.is_store(path):
        found = store.open_store(path)
        index = found.index
        rows = index.select(["galaxy_id", "cutout_ok", "status", "cutout_sha256"])
        where = path if is_s3(path) else _relative(path, folder)
        rows = rows.append_column("cutout_path", pa.array([where] * found.n, pa.string()))
        rows = rows.append_column("cutout_index", pa.array(range(found.n), pa.int64()))
        return Listing(rows, found.digest, found.chain)
    names = sorted(file.name for file in Path(path).glob("*.npz"))
    if not names:
        raise InputError(f"{path}: neither a cutout store nor a folder of .npz", "name what `lensctl cutout` wrote")
    rows = pa.concat_tables(list(_of_npz(Path(path), names, folder)))
    return Listing(rows, digests.of_table(rows.drop_columns(["cutout_path"])), ())


def _relative(path: str | Path, folder: Path) -> str:
    return os.path.relpath(Path(path).resolve(), folder.resolve())


def _of_npz(path: Path, names: list[str], folder: Path) -> Iterator[pa.Table]:
    """Quality and digest of each .npz, a batch of files at a time."""
    import numpy as np
    import pyarrow as pa

    for start in range(0, len(names), BATCH):
        some = names[start : start + BATCH]
        files = [npz.read(path / name) for name in some]
        shape = files[0].cutout.shape
        other = next((name for name, file in zip(some, files, strict=True) if file.cutout.shape != shape), None)
        if other:
            raise InputError(f"{path / other}: cutout is not {shape}, as {some[0]} is", "keep one size in a folder")
        images = np.stack([file.cutout for file in files])
        measured = quality.measure(images)
        yield pa.table(
            {
                "galaxy_id": pa.array([str(file.meta["meta_galaxy_id"]) for file in files], pa.string()),
                "cutout_path": pa.array([_relative(path / name, folder) for name in some], pa.string()),
                "cutout_index": pa.nulls(len(some), pa.int64()),
                "cutout_ok": pa.array(measured["cutout_ok"], pa.bool_()),
                "status": pa.array(measured["status"], pa.string()),
                "cutout_sha256": pa.array(quality.fingerprints(images), pa.string()),
            }
        )
