"""`cutout_path` of a manifest: a store or .npz file below a root folder, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

from lensctl.io.storage import s3
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.errors import InputError


def located(root: str | Path, path: str) -> str:
    """The store or file that a `cutout_path` names: below the root, on disk or S3, which may be the path's beginning.

    Raises InputError if it leads out of the root, or cannot be a path.
    """
    if not path or "\0" in path:
        raise InputError(f"cutout_path {path!r} is not a path", "make the manifest again")
    if is_s3(root):
        inside = path
        if is_s3(path) and _on_s3(path)[0] == _on_s3(root)[0]:
            inside = os.path.relpath(_on_s3(path)[1], _on_s3(root)[1])
        if is_s3(inside) or inside.startswith("/") or ".." in inside.split("/"):
            raise _outside(path, root)
        return f"{str(root).rstrip('/')}/{inside}"
    base = os.path.abspath(root)
    if is_s3(path) or not _is_below(os.path.normpath(os.path.join(base, path)), base):
        raise _outside(path, root)
    return str(Path(root) / path)


def refuse_link_out(root: str | Path, file: str | Path) -> None:
    """Raise InputError if a file below the root is in truth elsewhere, by a link."""
    if not is_s3(root) and not _is_below(os.path.realpath(file), os.path.realpath(root)):
        raise _outside(f"{file} (-> {os.path.realpath(file)})", root)


def relative(path: str | Path, root: str | Path) -> str:
    """The `cutout_path` by which a manifest names a store or file; InputError if it is not below the root."""
    text = str(path).rstrip("/")
    if not is_s3(text) and not is_s3(root):
        text = Path(os.path.relpath(text, root)).as_posix()
    file = located(root, text)
    refuse_link_out(root, file)
    return file[len(str(root).rstrip("/")) + 1 :] if is_s3(root) else text


def _on_s3(url: str | Path) -> tuple[str, str]:
    bucket, key = s3.split_url(str(url))
    return bucket, f"/{key.rstrip('/')}"


def _is_below(path: str, base: str) -> bool:
    return os.path.commonpath((path, base)) == base


def _outside(path: str, root: str | Path) -> InputError:
    return InputError(
        f"cutout_path {path} leads out of {root}",
        "make the manifest with a --root that holds all its cutouts, and give it wherever the manifest is read",
    )
