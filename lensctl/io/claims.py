"""Claims: locks on files of ours, which the system frees however the process that holds one ends."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from lensctl.rules.errors import InputError

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class NoLocks(InputError):
    """The file system has no locks."""


def open_own(path: Path, *, make: bool = True, append: bool = False) -> int:
    """Open a file of ours for writing, and make it if it is missing; returns its handle.

    Raises InputError for a link, a folder or anything else that is not a file.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
    flags |= (os.O_CREAT if make else 0) | (os.O_APPEND if append else 0)
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _in_the_way(path) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _in_the_way(path)
    return handle


def claim(handle: int, path: str | Path, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; returns False if another process holds it.

    Raises NoLocks, which names `path`, if its file system has no locks.
    """
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise NoLocks(
            f"{path}: this file system has no locks (NFS without lockd, Lustre without -o flock)",
            "write to another disk, then copy it here with `lensctl sync`",
        ) from error
    return True


def is_at(handle: int, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _in_the_way(path: Path) -> InputError:
    return InputError(f"{path} is not a file that lensctl made", "remove it, or move it away")
