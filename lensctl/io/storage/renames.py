"""Renames that never replace anything: of two processes that rename to one name, one fails."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_HERE, _NO_REPLACE = -100, 1
"""AT_FDCWD and RENAME_NOREPLACE of Linux."""
_NOT_OFFERED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES, errno.EMLINK)
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)


def rename_to_free(source: Path, target: Path) -> None:
    """Rename a file or folder; FileExistsError if the name is taken.

    Where the file system does not offer this in one step, a file is linked to the name; where it has no hard links
    either, and for a folder, the name is checked first.
    """
    try:
        if not _renamed(source, target) and not _linked(source, target):
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
            os.rename(source, target)
    except OSError as error:
        if error.errno in _TAKEN and os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise


def _renamed(source: Path, target: Path) -> bool:
    """Rename in one step; returns False where this is not offered."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(source), _HERE, os.fsencode(target), ctypes.c_uint(_NO_REPLACE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_OFFERED:
        return False
    raise OSError(number, os.strerror(number), str(target))


def _linked(source: Path, target: Path) -> bool:
    """Link a file to its new name, then remove the old one; returns False for a folder, and where this fails."""
    if source.is_dir():
        return False
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in _NO_HARD_LINKS:
            return False
        raise
    os.unlink(source)
    return True
