"""The files of a frozen model, each opened once: what is used is what was hashed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lensctl.frozen import layout
from lensctl.rules.errors import InputError

CHUNK_BYTES = 1 << 22
KEPT = {
    layout.SUMS,
    layout.SIGNATURE,
    layout.FROZEN,
    layout.THRESHOLDS,
    layout.METRICS,
    layout.PROVENANCE,
    layout.GATES,
    layout.WEIGHTS,
    layout.GOLDEN,
    layout.ATTACHMENT,
    PurePosixPath(layout.SELECTION_FACTS).name,
}
"""Names of files whose content is used; all others are hashed only."""


@dataclass(frozen=True)
class Snapshot:
    """A frozen model as it was read.

    Attributes
    ----------
    folder : Path
    digests : mapping
        Hex SHA-256 of every regular file, by name relative to the folder.
    contents : mapping
        Bytes of those files that are used.
    odd : list of str
        Links, devices and empty folders.
    """

    folder: Path
    digests: Mapping[str, str]
    contents: Mapping[str, bytes] = field(repr=False)
    odd: list[str]

    def __getitem__(self, name: str) -> bytes:
        """The bytes of a file; InputError if it was not there."""
        if name not in self.contents:
            raise InputError(f"{self.folder}: no {name} in this folder", "restore the folder")
        return self.contents[name]

    def digest(self, name: str) -> str:
        """Digest of a file as provenance writes it; "" if it was not there."""
        return f"sha256:{self.digests[name]}" if name in self.digests else ""

    def program(self, name: str) -> bytes:
        """The bytes of an exported program, which are read only here; InputError if they changed since."""
        data, digest = _read(self.folder / name, keep=True)
        if digest != self.digests.get(name):
            raise InputError(f"{self.folder}: {name} changed while it was verified", "verify the folder again")
        return data


def take(folder: Path) -> Snapshot:
    """Read a folder; InputError if a file goes, or becomes a link, while it is read."""
    found = layout.contents_of(folder)
    digests: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for name in found.files:
        kept = PurePosixPath(name).name in KEPT
        data, digests[name] = _read(folder / name, keep=kept)
        if kept:
            contents[name] = data
    return Snapshot(folder, digests, contents, found.odd)


def _read(path: Path, *, keep: bool) -> tuple[bytes, str]:
    """The bytes of a file, if they are kept, and its hex SHA-256."""
    digest, parts = hashlib.sha256(), []
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                if keep:
                    parts.append(chunk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "restore the folder") from error
    return b"".join(parts), digest.hexdigest()
