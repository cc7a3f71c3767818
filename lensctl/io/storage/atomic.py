"""Whole files: written under a name of their own beside the output, flushed to disk, then renamed; or uploaded at once.

The name is random and made anew (never a link or file that is there already), and its file is locked while it is
written: what killed runs left can be told from what another run is writing.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lensctl.io import claims
from lensctl.io.storage import s3, s3_create
from lensctl.io.storage.renames import rename_to_free
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
        there = os.path.lexists(path)
        parent = Path(path).absolute().parent
        if not parent.is_dir():
            raise InputError(f"{path}: folder {parent.name}/ does not exist", "make the folder first")
    if there and not overwrite:
        raise exists_error(path)


def exists_error(path: str | Path) -> InputError:
    """The error for an output that exists and may not be replaced."""
    return InputError(f"{path} exists", "give another name, or --overwrite to replace it")


def refuse_outputs(output: str | Path, beside: str | Path | None, overwrite: bool) -> None:
    """Like `refuse_existing`, also for a file written beside the output (None: not wanted), which has its own name."""
    refuse_existing(output, overwrite)
    if beside is None:
        return
    if str(beside) == "-":
        raise InputError("only OUTPUT can go through a pipe", "give a file name for the other table")
    refuse_same(output, beside)
    refuse_existing(beside, overwrite)


def refuse_same(output: str | Path, beside: str | Path) -> None:
    """Raise InputError if two outputs of a command have the same name."""
    on_s3 = is_s3(output) or is_s3(beside)
    if str(output) == str(beside) or (not on_s3 and os.path.realpath(output) == os.path.realpath(beside)):
        raise InputError(f"{beside} is named for two outputs", "give each its own name")


def refuse_pipe(path: str | Path) -> None:
    """Raise InputError for `-`: only tables go through pipes."""
    if str(path) == "-":
        raise InputError("this output cannot go through a pipe", "give a file name")


def token() -> str:
    """A name that nothing else has."""
    return secrets.token_hex(16)


def part_of(path: str | Path) -> Path:
    """Working folder of a folder or a resumable output: `.NAME.part` beside it."""
    path = Path(path)
    return path.with_name(f".{path.name}{PART}")


@contextmanager
def whole_file(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Write a file that appears only when complete.

    Yields the path to write to, of an empty file: to be filled, not replaced. On success it is flushed and renamed to
    `path` (or uploaded, for S3); on any failure it is removed and `path` is as it was.

    Raises InputError if `path` exists and may not be replaced, also if another run made it meanwhile.
    """
    refuse_pipe(path)
    refuse_existing(path, overwrite)
    if is_s3(path):
        with temporary_folder("upload") as folder:
            part = folder / str(path).rsplit("/", 1)[-1]
            yield part
            upload(part, str(path), overwrite)
        return
    path = Path(path)
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'not a file'}", "name a file to write")
    _remove_leftovers(path)
    with _part(path) as part:
        yield part
        sync_to_disk(part)
        publish(part, path, overwrite)
        sync_to_disk(path.absolute().parent)


def upload(file: Path, url: str, overwrite: bool) -> None:
    """Upload a local file; InputError if the object exists and may not be replaced."""
    if overwrite:
        s3.upload(file, url)
    elif not s3_create.create(url, file):
        raise exists_error(url)


def publish(part: Path, path: Path, overwrite: bool) -> None:
    """Give a finished file its name; InputError if that is taken and may not be replaced."""
    if overwrite:
        os.replace(part, path)
        return
    try:
        rename_to_free(part, path)
    except FileExistsError as error:
        raise exists_error(path) from error


@contextmanager
def _part(path: Path) -> Iterator[Path]:
    """An empty file beside a path, `.NAME.<random>.part`, held by this process; removed unless renamed."""
    while True:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
        try:
            handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        except FileExistsError:
            continue
        try:
            with suppress(claims.NoLocks):  # then nobody removes it for a leftover either
                if not (claims.claim(handle, part) and claims.is_at(handle, part)):
                    continue  # another run is looking at whose it is
            yield part
            return
        finally:
            part.unlink(missing_ok=True)
            os.close(handle)


def _remove_leftovers(path: Path) -> None:
    """Remove the parts of a path that killed runs left: those that no process holds."""
    folder = path.absolute().parent
    leftover = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}{re.escape(PART)}")
    with suppress(PermissionError):  # a folder that may be written and not listed
        for name in filter(leftover.fullmatch, os.listdir(folder)):
            with suppress(OSError, InputError):
                handle = claims.open_own(folder / name, make=False)
                try:
                    if claims.claim(handle, folder / name) and claims.is_at(handle, folder / name):
                        (folder / name).unlink()
                finally:
                    os.close(handle)


def replace_file(path: str | Path, pieces: Sequence[bytes | memoryview], *, flush: bool = True) -> None:
    """Write a small file atomically in a folder that this process holds, such as a working folder.

    It is written as `.NAME.part`, over what a killed run left there.
    """
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}{PART}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
    left = sum(map(len, pieces))
    try:
        for start in range(0, len(pieces), 512):  # writev takes at most 1024 pieces
            left -= os.writev(handle, pieces[start : start + 512])
        if left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if flush:
            os.fsync(handle)
    except OSError as error:
        os.unlink(part)
        if error.filename is None:  # of writev and fsync, which know no name
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        os.close(handle)
    os.replace(part, path)


def is_part(name: str) -> bool:
    """Whether a file name is that of a part."""
    return name.startswith(".") and name.endswith(PART)


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
