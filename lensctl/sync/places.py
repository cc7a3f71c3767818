"""The object store that a path names: a folder, one file, a glob, or a prefix on S3."""

from __future__ import annotations

import glob
import os

from lensctl.io.storage.s3 import exists, is_s3
from lensctl.rules.errors import InputError
from lensctl.sync.bucket import Bucket
from lensctl.sync.disk import Disk
from lensctl.sync.object_store import ObjectStore


def open_object_store(path: str, *, target: bool = False) -> ObjectStore:
    """The object store at a path: a folder or `s3://bucket/prefix`, and for a source also a file or a glob.

    What exists is that file, folder, object or prefix, whatever characters are in its name.

    Raises InputError for a pipe, a target that is a file, and a url without a bucket.
    """
    if path == "-":
        raise InputError("sync does not work with pipes", "name a folder or s3://bucket/prefix")
    root, pattern = path, ""
    if not target and glob.has_magic(path) and not (exists(path) if is_s3(path) else os.path.lexists(path)):
        root, pattern = split_glob(path)
    if is_s3(root):
        return Bucket(root, pattern, target=target)
    if target and os.path.isfile(path):
        raise InputError(f"{path} is a file", "name the folder to copy into")
    return Disk(root, pattern)


def split_glob(path: str) -> tuple[str, str]:
    """The folder or url before the first part with a wildcard, and the rest."""
    parts = path.split("/")
    at = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:at]) or ("/" if path.startswith("/") else "."), "/".join(parts[at:])
