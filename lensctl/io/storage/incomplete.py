"""The mark of an incomplete folder: a file or object `_INCOMPLETE` in it.

S3 cannot rename folders, and a copy of one may be interrupted: code that reads tables and stores refuses a folder with
the mark. The mark identifies its writer, so that only the same writer resumes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lensctl.io.storage import s3
from lensctl.rules.errors import InputError

INCOMPLETE = "_INCOMPLETE"
UPLOADS_AT_ONCE = 8


def is_mark(key: str) -> bool:
    """Whether an object is the mark of an incomplete folder."""
    return key.rpartition("/")[2] == INCOMPLETE


def mark(url: str, writer: bytes) -> None:
    """Mark a folder on S3 as incomplete, with its writer."""
    s3.write_object(f"{_folder(url)}/{INCOMPLETE}", writer)


def writer_of(url: str) -> bytes | None:
    """The writer of a folder on S3, from its mark; None if it has none."""
    try:
        return s3.read_object(f"{url.rstrip('/')}/{INCOMPLETE}")
    except FileNotFoundError:
        return None


def unmark(url: str) -> None:
    """Remove the mark: the folder is complete."""
    s3.delete([f"{url.rstrip('/')}/{INCOMPLETE}"])


def refuse_existing_folder(url: str, writer: str, overwrite: bool = False) -> None:
    """Raise InputError if something exists that may not be replaced; what the same writer started may be."""
    if not overwrite and writer_of(url) != writer.encode() and s3.exists(url):
        raise InputError(f"{url} exists", "give another name, or --overwrite to replace it")


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
        Something exists already, or the path is a bucket.
    """
    folder = _folder(url)
    refuse_existing_folder(folder, writer, overwrite)
    mark(folder, writer.encode())
    s3.delete([folder, *(other for other in s3.list_objects(folder) if other.endswith(".parquet"))])
    yield
    unmark(folder)


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
