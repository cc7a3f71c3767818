"""Atomic outputs: written to a temporary name, flushed to disk, then renamed (or uploaded in one piece)."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lensctl.io.storage import s3
from lensctl.io.storage.s3 import is_s3
from lensctl.io.temporary import temporary_folder
from lensctl.rules.errors import InputError

PART = ".part"


def refuse_existing(path: str | Path, overwrite: bool) -> None:
    """Raise InputError if an output exists and may not be replaced, or its parent folder is missing."""
    if str(path) == "-":
        return
    if is_s3(path):
        there = s3.exists(str(path))
    else:
        there = Path(path).exists()
        parent = Path(path).absolute().parent
        if not parent.is_dir():
            raise InputError(f"{path}: folder {parent.name}/ does not exist", "make the folder first")
    if there and not overwrite:
        raise InputError(f"{path} exists", "give another name, or --overwrite to replace it")


def refuse_pipe(path: str | Path) -> None:
    """Raise InputError for `-`: only tables go through pipes."""
    if str(path) == "-":
        raise InputError("this output cannot go through a pipe", "give a file name")


def token() -> str:
    """A name that nothing else has."""
    return secrets.token_hex(16)


def part_of(path: str | Path) -> Path:
    """Where an output is built until complete: `.NAME.part` beside it."""
    path = Path(path)
    return path.with_name(f".{path.name}{PART}")


@contextmanager
def whole_file(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Write a file that appears only when complete.

    Yields the path to write to. On success it is flushed and renamed to `path` (or uploaded, for S3); on any
    failure it is removed and `path` is as it was.
    """
    refuse_pipe(path)
    refuse_existing(path, overwrite)
    if is_s3(path):
        with temporary_folder("upload") as folder:
            part = folder / str(path).rsplit("/", 1)[-1]
            yield part
            s3.upload(part, str(path))
        return
    if Path(path).is_dir():
        raise InputError(f"{path} is a folder", "name a file to write")
    part = part_of(path)
    try:
        yield part
        sync_to_disk(part)
        os.replace(part, path)
        sync_to_disk(Path(path).absolute().parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Write a folder that appears only when complete; like `whole_file`, on local disk only."""
    if is_s3(path):
        raise InputError(f"{path}: this output is a folder on disk", "write it locally, then `lensctl sync` it")
    refuse_pipe(path)
    refuse_existing(path, overwrite)
    path = Path(path)
    part = part_of(path)
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        yield part
        move_into_place(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def move_into_place(part: Path, path: Path, *, flushed: bool = False) -> None:
    """Rename a finished file or folder into place, replacing what is there.

    It is first flushed to disk, file by file, unless already `flushed`.
    """
    for file in () if flushed else (part, *part.rglob("*")):
        if file.is_file():
            sync_to_disk(file)
    if path.is_dir() and not path.is_symlink():
        aside = path.with_name(f".{path.name}.old")
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(path, aside)
        os.replace(part, path)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        if part.is_dir():
            path.unlink(missing_ok=True)  # a folder cannot replace a file
        os.replace(part, path)
    sync_to_disk(path.absolute().parent)


def sync_to_disk(path: Path) -> None:
    """Flush a file or folder to disk, so that a rename is never persisted before its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def forget(path: Path) -> None:
    """Drop a flushed file from the page cache."""
    if hasattr(os, "posix_fadvise"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def local_folder(path: str, what: str) -> Path:
    """A folder on local disk; InputError for one on S3. `what` is the start of the message."""
    if path.startswith(("s3://", "s3a://")):
        raise InputError(f"{path}: {what} local disk", "use a local folder and copy it with `lensctl sync`")
    refuse_pipe(path)
    return Path(path)
