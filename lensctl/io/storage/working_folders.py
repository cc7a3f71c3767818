"""Working folders: `.NAME.part` beside an output, held by one run at a time and known for lensctl's by its note.

The note `job.json` says what is being made; it is there before anything else of value, and goes last. A folder without
it is not lensctl's: it is neither used nor removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from lensctl.io.claims import claim, is_at, open_own
from lensctl.io.storage.atomic import exists_error, is_part, publish, replace_file, sync_to_disk
from lensctl.io.storage.renames import rename_to_free
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError

JOB_FILE, LOCK_FILE, BEGIN_FILE, FAILED_FILE = "job.json", "lock", "begin", "failed"
BUILT, OLD = "whole", "old"
"""What is being made, and what it replaces."""


@contextmanager
def held(folder: Path, path: str | Path, part: str | None = None) -> Iterator[None]:
    """Hold a working folder, which is freed however the process ends; processes making parts share it.

    The folder is created, and removed at the end unless it has a note.

    Raises InputError if another process holds it, or makes the same part, or it is not lensctl's.
    """
    while True:
        _make(folder, path)
        with ExitStack() as locks:
            try:
                lock = _opened(locks, folder / LOCK_FILE)
            except FileNotFoundError:
                continue  # its owner removed it just now
            if not _claimed(lock, path, folder, shared=part is not None):
                raise InputError(
                    f"{path} is being made by another process{_named(read_note(folder))}",
                    "wait for it to end, or stop it",
                )
            if not is_at(lock, folder / LOCK_FILE):
                continue
            if part:
                own = _opened(locks, folder / f"{LOCK_FILE}-{part}")
                if not claim(own, path):
                    raise InputError(
                        f"part {part} of {path} is being made by another process", "wait for it to end, or stop it"
                    )
            try:
                yield
            finally:
                if not part and read_note(folder) is None:
                    _remove(folder)
            return


def is_ours(folder: Path) -> bool:
    """Whether a folder is a working folder of lensctl: no link, and with a note or nothing but locks."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return read_note(folder) is not None or all(map(_is_lock, os.scandir(folder)))


def empty(folder: Path) -> None:
    """Remove everything in a working folder but its note and locks; links in it are removed, not followed."""
    for entry in os.scandir(folder):
        if entry.name == JOB_FILE or _is_lock(entry):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry)
        else:
            os.unlink(entry)


def read_note(folder: Path) -> dict[str, Any] | None:
    """The note of a working folder; None if it has none."""
    note = folder / JOB_FILE
    return read_parameters(note.read_bytes()) if note.is_file() and not note.is_symlink() else None


def write_note(folder: Path, values: Mapping[str, Any]) -> None:
    """Write the note of a working folder."""
    replace_file(folder / JOB_FILE, [json.dumps(values, indent=1, sort_keys=True).encode() + b"\n"])


def read_parameters(text: bytes | None) -> dict[str, Any] | None:
    """Parameters a job was started with; None if it was not, or they are unreadable."""
    try:
        found = json_value(text or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Exclude other processes that are starting in this folder just now."""
    with ExitStack() as locks:
        fcntl.flock(_opened(locks, folder / BEGIN_FILE), fcntl.LOCK_EX)
        yield


def move_into_place(made: Path, path: Path, folder: Path, *, overwrite: bool, flushed: bool = False) -> None:
    """Rename a finished file or folder in a working folder to its name, with `overwrite` in place of what is there.

    It is first flushed to disk, file by file, unless already `flushed`; parts left by killed writers are removed.
    """
    for file in () if flushed else (made, *made.rglob("*")):
        if file != made and is_part(file.name):
            file.unlink()
        elif file.is_file():
            sync_to_disk(file)
    aside = folder / OLD
    if overwrite and path.is_dir() and not path.is_symlink():
        os.rename(path, aside)
    elif overwrite and made.is_dir():
        path.unlink(missing_ok=True)  # a folder cannot replace a file
    if made.is_dir():
        try:
            rename_to_free(made, path)
        except FileExistsError as error:
            raise exists_error(path) from error
    else:
        publish(made, path, overwrite)
    sync_to_disk(path.absolute().parent)


def restore(folder: Path, path: Path) -> None:
    """Move back what a run was replacing when it was killed."""
    old = folder / OLD
    if old.is_dir() and not old.is_symlink() and not os.path.lexists(path):
        os.rename(old, path)


def _make(folder: Path, path: str | Path) -> None:
    """Make a working folder unless it is there; InputError if something else is in its place."""
    try:
        folder.mkdir()
    except FileExistsError as error:
        with suppress(FileNotFoundError):  # removed by its owner just now
            if not is_ours(folder):
                raise InputError(
                    f"{folder} is in the way of {path}, and lensctl did not make it",
                    f"move it away, or give another name than {path}",
                ) from error


def _opened(locks: ExitStack, file: Path) -> int:
    handle = open_own(file)
    locks.callback(os.close, handle)
    return handle


def _claimed(lock: int, path: str | Path, folder: Path, *, shared: bool) -> bool:
    """Claim a folder's lock; where there are no locks, the folder is removed if it is new."""
    try:
        return claim(lock, path, shared=shared)
    except InputError:
        if read_note(folder) is None:
            _remove(folder)
        raise


def _remove(folder: Path) -> None:
    """Remove a working folder that is ended: its content first, and its lock last."""
    empty(folder)
    for name in sorted(os.listdir(folder), key=lambda name: name == LOCK_FILE):
        (folder / name).unlink()
    with suppress(OSError):  # another run has begun in it
        folder.rmdir()


def _is_lock(entry: os.DirEntry[str]) -> bool:
    """Whether a file is a lock, or the beginning of a note."""
    named = entry.name in (LOCK_FILE, BEGIN_FILE) or entry.name.startswith(f"{LOCK_FILE}-")
    if not entry.is_file(follow_symlinks=False):
        return False
    return entry.name == f".{JOB_FILE}.part" or (named and entry.stat(follow_symlinks=False).st_size == 0)


def _named(note: Mapping[str, Any] | None) -> str:
    """Command that a note names, in brackets; empty if there is none."""
    step = note.get("step", note) if note else None
    return f" (lensctl {step['command']})" if isinstance(step, dict) and "command" in step else ""
