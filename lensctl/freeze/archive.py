"""A frozen model as one file, to be deposited or sent: a tar or zip archive whose bytes follow from the model's."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lensctl.frozen import layout
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.errors import InputError

SUFFIXES = (".tar.gz", ".tgz", ".zip")
FILE_MODE = 0o444
DATE = (1980, 1, 1, 0, 0, 0)  # the first that zip knows
COMPRESSION = 6
CHUNK_BYTES = 1 << 20


def name_within(archive: str | Path) -> str:
    """The folder that an archive unpacks to: its own name; InputError for one of another kind."""
    name = Path(archive).name
    ending = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
    if ending is None:
        raise InputError(f"{archive}: no archive ends so", f"use {', '.join(SUFFIXES)}")
    stem = name[: -len(ending)]
    if not re.fullmatch(r"\w[\w.+-]*", stem, re.ASCII):
        raise InputError(f"{archive}: it would unpack to '{stem}'", "use letters, digits, . + - _")
    return stem


def refuse_inside(archive: str | Path, folder: str | Path) -> None:
    """Raise InputError for an archive that would lie in the folder that it is of."""
    if not is_s3(archive) and Path(os.path.realpath(archive)).is_relative_to(os.path.realpath(folder)):
        raise InputError(f"{archive} lies in the folder that it would hold", "write it beside the folder")


def pack(folder: Path, part: Path, archive: str | Path) -> None:
    """Write a frozen model into `part`, an empty file, in the form that the name of `archive` says.

    Names sorted, dates and owners fixed: the same model gives the same bytes.
    """
    if str(archive).lower().endswith(".zip"):
        _zip(folder, part, name_within(archive))
    else:
        _tar(folder, part, name_within(archive))


def _tar(folder: Path, part: Path, stem: str) -> None:
    with (
        part.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, path in _files(folder):
            entry = tarfile.TarInfo(f"{stem}/{name}")
            entry.size, entry.mode = path.stat().st_size, FILE_MODE
            with path.open("rb") as file:
                tar.addfile(entry, file)


def _zip(folder: Path, part: Path, stem: str) -> None:
    with zipfile.ZipFile(part, "w") as packed:
        for name, path in _files(folder):
            entry = zipfile.ZipInfo(f"{stem}/{name}", DATE)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3  # of Unix, so that modes are read
            entry.external_attr, entry.file_size = (0o100000 | FILE_MODE) << 16, path.stat().st_size
            with path.open("rb") as file, packed.open(entry, "w") as target:
                _copy(file, target)


def _copy(file: Any, target: Any) -> None:
    while chunk := file.read(CHUNK_BYTES):
        target.write(chunk)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for name in layout.contents_of(folder).files:
        yield name, folder / name
