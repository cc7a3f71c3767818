"""Temporary folders. Each is locked by the process that made it, so that those of killed processes can be removed.

The kernel drops the lock however a process ends. The first temporary folder that a process makes is the occasion to
remove those whose lock nobody holds.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lensctl.io import claims
from lensctl.rules.errors import InputError

PREFIX, SUFFIX = "lensctl-", ".tmp"
LOCK = "lock"
CONTENT = "content"


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """An empty folder in $TMPDIR for as long as the block lasts; `purpose` is part of its name."""
    _remove_abandoned_once()
    folder, lock = _made(purpose)
    try:
        content = folder / CONTENT
        content.mkdir()
        yield content
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_abandoned() -> None:
    """Remove the temporary folders that processes of this user left in $TMPDIR when they were killed."""
    with os.scandir(tempfile.gettempdir()) as entries:
        found = [entry for entry in entries if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX)]
    for entry in found:
        with suppress(OSError, InputError):  # its owner has just removed it, or the file system has no locks
            if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                lock = claims.open_own(Path(entry) / LOCK)
                try:
                    if claims.claim(lock, entry.path):
                        shutil.rmtree(entry, ignore_errors=True)
                finally:
                    os.close(lock)


_remove_abandoned_once = functools.cache(remove_abandoned)


def _made(purpose: str) -> tuple[Path, int]:
    """A new folder and its lock, held. Another process may remove the folder before it is locked: then make another."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", suffix=SUFFIX))
        try:
            lock = claims.open_own(folder / LOCK)
        except FileNotFoundError:
            continue
        with suppress(claims.NoLocks):  # then nobody takes it for abandoned either
            if not (claims.claim(lock, folder) and claims.is_at(lock, folder / LOCK)):
                os.close(lock)
                continue
        return folder, lock
