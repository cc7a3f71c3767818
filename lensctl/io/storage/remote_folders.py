"""Folders on S3 that nobody reads before they are whole: an object `_INCOMPLETE` in them says that they are not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lensctl.io.storage import s3
from lensctl.io.storage.atomic import INCOMPLETE
from lensctl.rules.errors import InputError

UPLOADS_AT_ONCE = 8


def begun_by(url: str) -> str | None:
    """What is being written to a folder, in the words of its writer; None where nothing is."""
    try:
        return s3.read_object(f"{url.rstrip('/')}/{INCOMPLETE}").decode(errors="replace")
    except FileNotFoundError:
        return None


def refuse_existing_folder(url: str, by: str, overwrite: bool = False) -> None:
    """Raise InputError where something is there that may not be replaced; what the same writer began may be."""
    if not overwrite and begun_by(url) != by and s3.exists(url):
        raise InputError(f"{url} exists", "give another name, or --overwrite to replace it")


@contextmanager
def being_written(url: str, by: str, overwrite: bool = False) -> Iterator[None]:
    """Hold a folder for incomplete until the block has ended well; if it does not, it stays so.

    Parameters
    ----------
    by : str
        What writes it, the same for the same content: a step's id. Only the same writer may take up what was begun.
    overwrite : bool
        What is there may be replaced: from the beginning of the block there is nothing to read.

    Raises
    ------
    InputError
        Something is there already, or the folder is a whole bucket.
    """
    if not s3.split_url(url)[1].strip("/"):
        raise InputError(f"{url} is a whole bucket", "name a folder in it")
    refuse_existing_folder(url, by, overwrite)
    folder = url.rstrip("/")
    s3.write_object(f"{folder}/{INCOMPLETE}", by.encode())
    s3.delete([folder, *(other for other in s3.list_objects(folder) if other.endswith(".parquet"))])
    yield
    s3.delete([f"{folder}/{INCOMPLETE}"])


def upload_folder(local: Path, url: str, by: str, overwrite: bool = False) -> None:
    """Put a whole local folder on S3, under a mark that goes when all of it is there."""
    files = sorted(file for file in local.rglob("*") if file.is_file())
    targets = [f"{url.rstrip('/')}/{file.relative_to(local).as_posix()}" for file in files]
    with being_written(url, by, overwrite), ThreadPoolExecutor(UPLOADS_AT_ONCE) as threads:
        deque(threads.map(s3.upload, files, targets), maxlen=0)
