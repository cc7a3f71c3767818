"""Resolve paths to files and formats: local files, globs, folders, `s3://` and `-`."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.io.addresses import is_web
from lensctl.io.storage import web
from lensctl.io.storage.incomplete import INCOMPLETE
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.errors import InputError, LensctlError, first_line
from lensctl.rules.object_names import refuse_undecoded

if TYPE_CHECKING:
    import pyarrow.fs


SUFFIXES = {
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "tsv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".fits": "fits",
    ".fits.gz": "fits",
    ".fits.fz": "fits",
    ".fit": "fits",
    ".vot": "vot",
    ".ecsv": "ecsv",
    ".reg": "reg",
}

WRITTEN_ONLY = ("reg",)
"""Formats that hold a part of a table, and are not read."""


HATS = re.compile(r"Norder=(\d+)/(?:Dir=\d+/)?(Npix=\d+[^/]*(?:/[^/]+)?)$")
"""The end of the path of a file with rows of a HATS catalogue (hats.readthedocs.io): order, and pixel of that order."""


def format_of(path: str, format: str | None = None) -> str:
    """Format of a path: as given, else by extension; a pipe is Arrow, a folder or a name without extension is parquet.

    Raises InputError for a format or an extension that is none of a table's.
    """
    if format:
        if format not in {*SUFFIXES.values()}:
            raise InputError(f"no format '{format}'", f"use {', '.join(dict.fromkeys(SUFFIXES.values()))}")
        return format
    if path == "-":
        return "arrow"
    name = web.name_of(path).lower() if is_web(path) else path.rstrip("/").rsplit("/", 1)[-1].lower()
    for ending in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(ending):
            return SUFFIXES[ending]
    other = re.search(r"\.[a-z]\w*$", name)
    if other and not path.endswith("/") and not (not is_s3(path) and not is_web(path) and Path(path).is_dir()):
        known = ", ".join(SUFFIXES)
        raise InputError(f"{path}: ending {other[0]} is none of a table's", f"use {known}, or say its --format")
    return "parquet"


def refuse_written_only(kind: str, path: str) -> None:
    """Raise InputError for a format that is not read."""
    if kind in WRITTEN_ONLY:
        raise InputError(f"{path}: regions are written, and not read", "name the table that they were made from")


def files_of(path: str) -> list[str]:
    """The files at a path, in name order; see `found_at`."""
    return [file for file, _ in found_at(path)]


def found_at(path: str) -> list[tuple[str, str]]:
    """The files at a path, in name order, each with the folder, given or matched, that it was found below, or "".

    A path that exists is that path, whatever characters are in it; else a glob is expanded. A folder yields the parquet
    files below it (names starting with . or _ are skipped).

    Raises InputError if there are none, or for a name that is not UTF-8.
    """
    if is_s3(path):
        return _s3_files(path)
    if is_web(path):
        return [(file, "") for file in web.files_at(path)]
    found = _local_files(path)
    for file, _ in found:
        refuse_undecoded(file)
    return found


def _local_files(path: str) -> list[tuple[str, str]]:
    if Path(path).is_dir():
        if (Path(path) / INCOMPLETE).exists():
            raise _incomplete(path)
        found = [str(p) for p in sorted(Path(path).rglob("*.parquet")) if not _hidden(p.relative_to(path))]
        if not found:
            raise InputError(f"{path} is a folder without parquet files", "name a table, or a folder of parquet files")
        return [(file, str(Path(path))) for file in _pixels_of_hats(found)]
    if Path(path).is_file():
        return [(path, "")]
    matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    if not matches:
        raise InputError(f"{path}: no such file", "check the path")
    return [found for match in matches for found in (_local_files(match) if Path(match).is_dir() else [(match, "")])]


def base_name(path: str) -> str:
    """Name of a file without its folder; of a file of a HATS catalogue, with the order that tells it from another."""
    if is_web(path):
        return web.name_of(path)
    pixel = HATS.search(path)
    return f"Norder={pixel[1]}-{pixel[2].replace('/', '-')}" if pixel else path.rsplit("/", 1)[-1]


def _pixels_of_hats(found: list[str]) -> list[str]:
    """Of the files of a HATS catalogue those with its rows, without the thumbnail that repeats some; else all files."""
    return [file for file in found if HATS.search(file)] or found


def _incomplete(path: str) -> InputError:
    return InputError(f"{path} is incomplete: still being written, or interrupted", "wait, or rerun the command")


def _hidden(relative: Path) -> bool:
    return any(part.startswith((".", "_")) for part in relative.parts)


def _s3_files(url: str) -> list[tuple[str, str]]:
    import obstore
    from obstore.exceptions import BaseError

    from lensctl.io.storage import s3

    bucket, key = s3.split_url(url)
    prefix = key[: min((key.index(c) for c in "*?[" if c in key), default=len(key))]
    store = s3.object_store(bucket)
    try:
        if key.rstrip("/"):  # a key that exists is that object or folder, whatever characters are in it
            with suppress(FileNotFoundError):
                return [(f"s3://{bucket}/{obstore.head(store, key)['path']}", "")]
        folder = key if prefix == key else prefix.rpartition("/")[0]
        keys = sorted(o["path"] for page in obstore.list(store, folder) for o in page)
    except (BaseError, OSError) as error:
        raise s3.unreachable(url, error) from error
    below = key.rstrip("/") + "/"
    is_folder = prefix == key or any(k.startswith(below) for k in keys)
    if is_folder:
        found = [
            k for k in keys if k.startswith(below) and k.endswith(".parquet") and not _hidden(Path(k[len(below) :]))
        ]
        found = _pixels_of_hats(found)
    else:
        found = [k for k in keys if fnmatch.fnmatchcase(k, key)]
    for unfinished in (k.removesuffix(INCOMPLETE) for k in keys if k.rpartition("/")[2] == INCOMPLETE):
        if any(k.startswith(unfinished) for k in found) or (is_folder and unfinished == below):
            raise _incomplete(f"s3://{bucket}/{unfinished}")
    if not found:
        raise InputError(f"{url}: no such object", "check the bucket and the key")
    folder_given = f"s3://{bucket}/{below}" if is_folder else ""
    return [(f"s3://{bucket}/{k}", folder_given) for k in found]


def filesystem_of(paths: Sequence[str]) -> tuple[pyarrow.fs.FileSystem, list[str]]:
    """The Arrow file system of some files, and their paths in it."""
    import pyarrow.fs

    if paths and is_s3(paths[0]):
        from lensctl.io.storage import s3

        return s3.filesystem(), ["/".join(s3.split_url(path)) for path in paths]
    return pyarrow.fs.LocalFileSystem(), list(paths)


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Turn library errors about an unreadable file into a one-line message."""
    import pyarrow as pa

    try:
        yield
    except LensctlError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError) as error:
        where = "stdin" if path == "-" else path
        raise InputError(
            f"{where}: cannot be read as a table ({first_line(error, 160)})", "is it complete, and in this format?"
        ) from error
