"""Folders of .npz files that differ in their `meta_*`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lensctl.io.cutouts import npz
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.reporter import Receipt
from tests.toys.pixels import images

MIXED: list[dict[str, npz.Array]] = [
    {"meta_nobs_z": np.array(8), "meta_note": np.array("a"), "meta_has_g": np.array(True)},
    {"meta_nobs_z": np.array(8.0), "meta_flux": np.array(1.5, np.float32), "meta_psf": np.ones((3, 3), ">f8")},
    {"meta_note": np.array("längst", "<U32"), "meta_raw": np.array(b"\x00\x01x"), "meta_odd": np.array(7, ">i2")},
    {"meta_when": np.array("2026-02-08", "M8[s]"), "meta_flux": np.array(np.nan, np.float32)},
    {},
]


def write_folder(folder: Path, extra: list[dict[str, npz.Array]], size: int = 9) -> Path:
    """Write a file for each dictionary of further arrays."""
    folder.mkdir(exist_ok=True)
    for i, (image, more) in enumerate(zip(images(len(extra), size), extra, strict=True)):
        meta = {
            "meta_galaxy_id": np.array(f"0001m0{i:02d}_{i}"),
            "meta_ra": np.array(0.1 * i),
            "meta_dec": np.array(-4.0),
        }
        np.savez(folder / f"0001m0{i:02d}_{i}.npz", cutout=image, **meta, **more)
    return folder


def opened(receipt: Receipt) -> Store:
    """The store that a receipt says was made."""
    return open_store(receipt["output"])
