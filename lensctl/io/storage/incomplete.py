"""The mark of an incomplete folder: a file or object `_INCOMPLETE` in it.

S3 cannot rename folders, and a copy of one may be interrupted: code that reads tables and stores refuses a folder with
the mark. The mark identifies its writer, so that only the same writer resumes; on S3 it is made only where there is
none, so that of two writers one is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lensctl.io.storage import s3, s3_create
from lensctl.io.storage.atomic import exists_error
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError

INCOMPLETE = "_INCOMPLETE"
UPLOADS_AT_ONCE = 8


def is_mark(key: str) -> bool:
    """Whether an object is the mark of an incomplete folder."""
    return key.rpartition("/")[2] == INCOMPLETE


def mark(url: str, writer: bytes, *, over: bool = False, shared: bool = False) -> bool:
    """Mark a folder on S3 as incomplete, with its writer; returns False if the same writer has done so just now.

    Parameters
    ----------
    over : bool
        Take over what exists there, or was begun by another.
    shared : bool
        Other processes of this writer may have begun, and have files there already.

    Raises
    ------
    InputError
        Another writer has begun the folder, or made it just now.
    """
    folder = _folder(url)
    if over:
        s3.write_object(_mark_of(folder), writer)
    elif not s3_create.create(_mark_of(folder), writer):
        if (other := writer_of(folder)) != writer:
            raise _other_error(url, other)
        return False
    elif not shared and len(s3.list_objects(folder)) > 1:  # another run has finished it meanwhile
        unmark(folder, writer)
        raise exists_error(url)
    return True


def writer_of(url: str) -> bytes | None:
    """The writer of a folder on S3, from its mark; None if it has none."""
    try:
        return s3.read_object(_mark_of(url))
    except FileNotFoundError:
        return None


def refuse_other(url: str, writer: bytes) -> None:
    """Raise InputError unless a folder on S3 is marked by this writer: another may have taken it over meanwhile."""
    if (other := writer_of(url)) != writer:
        raise _other_error(url, other)


def unmark(url: str, writer: bytes) -> None:
    """Remove the mark: the folder is complete. Raises InputError if it is another's meanwhile."""
    refuse_other(url, writer)
    s3.delete([_mark_of(url)])


def refuse_existing_folder(url: str, writer: str, overwrite: bool = False) -> None:
    """Raise InputError if something exists that may not be replaced; what the same writer started may be."""
    if not overwrite and writer_of(url) != writer.encode() and s3.exists(url):
        raise exists_error(url)


@contextmanager
def being_written(url: str, writer: str, overwrite: bool = False) -> Iterator[None]:
    """Mark a folder on S3 as incomplete until the block succeeds; if it fails, the mark stays.

    Parameters
    ----------
    writer : str
        Identifies the content: a step's id. Only the same writer may resume.
    overwrite : bool
        Replace an existing folder; it is unreadable from the start of the block.

    Raises
    ------
    InputError
        Something exists already, another writer has begun it, or the path is a bucket.
    """
    folder = _folder(url)
    refuse_existing_folder(folder, writer, overwrite)
    mark(folder, writer.encode(), over=overwrite)
    s3.delete([folder, *(other for other in s3.list_objects(folder) if other.endswith(".parquet"))])
    yield
    unmark(folder, writer.encode())


def upload_folder(local: Path, url: str, writer: str, overwrite: bool = False) -> None:
    """Upload a local folder to S3, marked as incomplete until everything is there."""
    files = sorted(file for file in local.rglob("*") if file.is_file())
    targets = [f"{url.rstrip('/')}/{file.relative_to(local).as_posix()}" for file in files]
    with being_written(url, writer, overwrite), ThreadPoolExecutor(UPLOADS_AT_ONCE) as threads:
        deque(threads.map(s3.upload, files, targets), maxlen=0)


def _folder(url: str) -> str:
    """The URL without a trailing slash; InputError for a bucket."""
    if not s3.split_url(url)[1].strip("/"):
        raise InputError(f"{url} is a bucket", "name a folder in it")
    return url.rstrip("/")


def _mark_of(url: str) -> str:
    """URL of a folder's mark."""
    return f"{url.rstrip('/')}/{INCOMPLETE}"


def _other_error(url: str, writer: bytes | None) -> InputError:
    """The error for a folder that another writer has begun, or finished."""
    fix = "rerun that command to resume, or give another name"
    return InputError(f"{url} is being made by another run{_named(writer)}", fix)


def _named(writer: bytes | None) -> str:
    """Command or id of a writer, in brackets; empty if there is none."""
    if not writer:
        return ""
    try:
        known = json_value(writer)
    except ValueError:
        known = None
    if isinstance(known, dict):
        return f" (lensctl {known.get('command')})"
    return f" (step {writer.decode(errors='replace')[:12]})"
