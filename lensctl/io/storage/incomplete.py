"""The mark of a folder that nobody reads before it is whole: a file or object `_INCOMPLETE` in it.

S3 cannot rename a folder when it is whole, and a copy of one can die half-way: what reads tables and stores refuses a
folder that holds the mark. What writes it says so in the mark, so that only the same writer goes on.
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
    """Whether an object says that its folder is not whole."""
    return key.rpartition("/")[2] == INCOMPLETE


def mark(url: str, writer: bytes) -> None:
    """Say that a folder on S3 is not whole, and who writes it."""
    s3.write_object(f"{_folder(url)}/{INCOMPLETE}", writer)


def writer_of(url: str) -> bytes | None:
    """Who writes a folder on S3, as its mark says; None where it holds none."""
    try:
        return s3.read_object(f"{url.rstrip('/')}/{INCOMPLETE}")
    except FileNotFoundError:
        return None


def unmark(url: str) -> None:
    """The folder is whole."""
    s3.delete([f"{url.rstrip('/')}/{INCOMPLETE}"])


def refuse_existing_folder(url: str, writer: str, overwrite: bool = False) -> None:
    """Raise InputError where something is there that may not be replaced; what the same writer began may be."""
    if not overwrite and writer_of(url) != writer.encode() and s3.exists(url):
        raise InputError(f"{url} exists", "give another name, or --overwrite to replace it")


@contextmanager
def being_written(url: str, writer: str, overwrite: bool = False) -> Iterator[None]:
    """Hold a folder on S3 for incomplete until the block has ended well; if it does not, it stays so.

    Parameters
    ----------
    writer : str
        The same for the same content: a step's id. Only the same writer may take up what was begun.
    overwrite : bool
        What is there may be replaced: from the beginning of the block there is nothing to read.

    Raises
    ------
    InputError
        Something is there already, or the folder is a whole bucket.
    """
    folder = _folder(url)
    refuse_existing_folder(folder, writer, overwrite)
    mark(folder, writer.encode())
    s3.delete([folder, *(other for other in s3.list_objects(folder) if other.endswith(".parquet"))])
    yield
    unmark(folder)


def upload_folder(local: Path, url: str, writer: str, overwrite: bool = False) -> None:
    """Put a whole local folder on S3, under a mark that goes when all of it is there."""
    files = sorted(file for file in local.rglob("*") if file.is_file())
    targets = [f"{url.rstrip('/')}/{file.relative_to(local).as_posix()}" for file in files]
    with being_written(url, writer, overwrite), ThreadPoolExecutor(UPLOADS_AT_ONCE) as threads:
        deque(threads.map(s3.upload, files, targets), maxlen=0)


def _folder(url: str) -> str:
    """The url without a slash at its end; InputError for a whole bucket."""
    if not s3.split_url(url)[1].strip("/"):
        raise InputError(f"{url} is a whole bucket", "name a folder in it")
    return url.rstrip("/")
