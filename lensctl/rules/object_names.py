"""Names of files and objects: which can be read and are safe on any disk, which clash, which are selected."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Sequence

from lensctl.rules.errors import InputError, printable

LONGEST_NAME_BYTES = 255
SYNC = ".lensctl-sync"
"""Prefix of sync's own files in DST; they are never data."""
LEDGER = f"{SYNC}.jsonl"
"""File in DST that lists the objects copied."""


def problem(key: str) -> str:
    """Why an object of this name cannot be written below a folder; empty for a safe name.

    A safe name stays below the folder on every disk: no empty, `.` or `..` part, no control character, no part
    longer than 255 bytes, and valid UTF-8.
    """
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    parts = key.split("/")
    if key.startswith("/"):
        return "is absolute"
    if ".." in parts or "." in parts:
        return "has a part '..' or '.'"
    if "" in parts:
        return "has an empty part"
    if not key.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in key):
        return "has a control character"
    if len(encoded) > LONGEST_NAME_BYTES and any(len(part.encode()) > LONGEST_NAME_BYTES for part in parts):
        return f"has a part longer than {LONGEST_NAME_BYTES} bytes"
    return ""


def refuse_undecoded(name: str) -> None:
    """Raise InputError for an argument or a name on disk that is not UTF-8, which no table, store or bucket holds."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"'{printable(name)}' is not UTF-8", "rename it: names are UTF-8 here") from error


_NOT_DATA = re.compile(rf"(?:^|/)(?:{re.escape(SYNC)}[^/]*|\.[^/]+\.part)(?:/|$)")


def is_data(key: str) -> bool:
    """Whether a name is data: not `.NAME.part` (an unfinished output), not sync's own, nor below one of these."""
    return _NOT_DATA.search(key) is None


class Clashes:
    """Finds names that cannot coexist on some disks: equal except for case, or both a file and a folder.

    Names are kept as hashes to save memory.
    """

    def __init__(self) -> None:
        self._files: set[int] = set()
        self._folders: set[int] = set()
        self._clashing: set[int] = set()

    def add(self, key: str) -> bool:
        """Add a name; returns whether it clashes with an earlier one."""
        name, *folders = _hashes(key)
        clashing = self._files.intersection(folders)
        if name in self._files or name in self._folders:
            clashing.add(name)
        self._files.add(name)
        self._folders.update(folders)
        self._clashing |= clashing
        return bool(clashing)

    def involves(self, key: str) -> bool:
        """Whether a name is, or lies below, a clashing name."""
        return not self._clashing.isdisjoint(_hashes(key))


def _hashes(key: str) -> list[int]:
    """Hashes of a name and the folders above it, ignoring case."""
    folded = _fold(key)
    found = [hash(folded)]
    at = folded.find("/")
    while at >= 0:
        found.append(hash(folded[:at]))
        at = folded.find("/", at + 1)
    return found


def _fold(key: str) -> str:
    return key.lower() if key.isascii() else unicodedata.normalize("NFC", key).casefold()


class NameSelection:
    """The names that match any include pattern (all, if there are none) and no exclude pattern.

    In these patterns `*` matches any characters including `/`, as in other object-store tools. `below` is the rest of
    a glob path, in which `*` stays within a folder and `**` does not.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = (), below: str = "") -> None:
        self._include = [_compiled(pattern) for pattern in include]
        self._exclude = [_compiled(pattern) for pattern in exclude]
        self._below = re.compile(_path_pattern(below)) if below else None

    @property
    def all(self) -> bool:
        """Whether every name is selected."""
        return not (self._below or self._include or self._exclude)

    def takes(self, key: str) -> bool:
        """Whether a name is selected."""
        return (
            (self._below is None or self._below.fullmatch(key) is not None)
            and (not self._include or any(pattern.match(key) for pattern in self._include))
            and not any(pattern.match(key) for pattern in self._exclude)
        )


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _path_pattern(glob: str) -> str:
    """Regular expression for a glob over path parts."""
    parts = []
    for part in glob.strip("/").split("/"):
        one = fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z")
        parts.append(".*" if part == "**" else one.replace(".*", "[^/]*"))
    return "/".join(parts)
