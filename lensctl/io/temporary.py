"""Temporary folders. Each is locked by the process that made it, so that those of killed processes can be removed.

The kernel drops the lock however a process ends. The first temporary folder that a process makes is the occasion to
remove those whose lock nobody holds.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX, SUFFIX = "lensctl-", ".tmp"
LOCK = "lock"
CONTENT = "content"


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """An empty folder in $TMPDIR for as long as the block lasts; `purpose` is part of its name."""
    _remove_abandoned_once(tempfile.gettempdir())
    folder, lock = _made(purpose)
    try:
        content = folder / CONTENT
        content.mkdir()
        yield content
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_abandoned(where: str | Path) -> None:
    """Remove the temporary folders in `where` that processes of this user left when they were killed."""
    with os.scandir(where) as entries:
        found = [entry for entry in entries if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX)]
    for entry in found:
        with suppress(OSError):  # its owner has just removed it, or the file system has no locks
            if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                lock = _open_lock(Path(entry))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(entry, ignore_errors=True)
                finally:
                    os.close(lock)


_remove_abandoned_once = functools.cache(remove_abandoned)


def _made(purpose: str) -> tuple[Path, int]:
    """A new folder and its lock, held. Another process may remove the folder before it is locked: then make another."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", suffix=SUFFIX))
        try:
            lock = _open_lock(folder)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        except OSError:  # a file system without locks: nothing there is taken for abandoned
            return folder, lock
        if _is_open_at(lock, folder / LOCK):
            return folder, lock
        os.close(lock)


def _open_lock(folder: Path) -> int:
    return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _is_open_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
