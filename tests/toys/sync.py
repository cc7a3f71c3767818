"""Folders to sync, the sync of two paths, and what stands there afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lensctl.io.storage.incomplete import INCOMPLETE
from lensctl.rules import object_names
from lensctl.sync import Outcome
from lensctl.sync.places import open_object_store
from lensctl.sync.run import copy

NOTE = ".lensctl-sync.jsonl"
MIB = 1 << 20


def run(source: object, target: object, include=(), exclude=(), **options) -> Outcome:
    """Sync between two paths."""
    there = open_object_store(str(source))
    selection = object_names.NameSelection(include, exclude, there.pattern)
    return copy(there, open_object_store(str(target), target=True), selection=selection, **options)


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder but the notes of sync, and its mark while it is not whole."""
    files = {str(file.relative_to(root)): file for file in sorted(root.rglob("*")) if file.is_file()}
    return {
        name: file.read_bytes() for name, file in files.items() if not name.startswith((".lensctl-sync", INCOMPLETE))
    }


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def fill(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def spoil(file: Path) -> None:
    """Flip one bit and leave size and time as they were."""
    facts = file.stat()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


FILES = {
    "a.parquet": b"rows",
    "images/c/0/0": noise(300_000),
    "images/c/1/0": noise(MIB + 12345, 1),
    "images/zarr.json": b"{}",
    "empty": b"",
    "odd/Søren's 100% #1 + x.npz": noise(1000, 2),
    "parts/some": noise(1000, 3),
    "parts/more": noise(1001, 4),
}
