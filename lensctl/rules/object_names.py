"""Names of objects below a folder or prefix: which may be laid on any disk, which clash, which are chosen."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Sequence

LONGEST_NAME_BYTES = 255
SYNC = ".lensctl-sync"
"""What the names of a sync's own files in DST begin with; they are never data."""
LEDGER = f"{SYNC}.jsonl"
"""File in DST that lists what was copied."""


def problem(key: str) -> str:
    """Why no object of this name may be written below a folder; empty for a name that may.

    A safe name stays below the folder on every disk: no empty, `.` or `..` part, no control character, no part
    longer than 255 bytes, text that UTF-8 can hold.
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


_NOT_DATA = re.compile(rf"(?:^|/)(?:{re.escape(SYNC)}[^/]*|\.[^/]+\.part)(?:/|$)")


def is_data(key: str) -> bool:
    """Whether a name is data: not `.NAME.part` (an output not yet whole), not a sync's own, nor below one of them."""
    return _NOT_DATA.search(key) is None


class Clashes:
    """Finds names that one disk could not hold side by side: equal but for case, or file here and folder there.

    Names are kept as hashes, so that half a million take little room.
    """

    def __init__(self) -> None:
        self._files: set[int] = set()
        self._folders: set[int] = set()
        self._clashing: set[int] = set()

    def add(self, key: str) -> bool:
        """Note a name; whether it clashes with one before."""
        name, *folders = _hashes(key)
        clashing = self._files.intersection(folders)
        if name in self._files or name in self._folders:
            clashing.add(name)
        self._files.add(name)
        self._folders.update(folders)
        self._clashing |= clashing
        return bool(clashing)

    def involves(self, key: str) -> bool:
        """Whether a name is, or lies below, one that was found to clash."""
        return not self._clashing.isdisjoint(_hashes(key))


def _hashes(key: str) -> list[int]:
    """Of a name and the folders above it, case aside."""
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
    """The names that match any pattern to include (all, where there is none) and no pattern to exclude.

    In these patterns `*` stands for any letters, `/` too, as in other tools for objects. `below` is the rest of a
    glob given as a path, where `*` stays within a folder and `**` does not.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = (), below: str = "") -> None:
        self._include = [_compiled(pattern) for pattern in include]
        self._exclude = [_compiled(pattern) for pattern in exclude]
        self._below = re.compile(_path_pattern(below)) if below else None

    @property
    def all(self) -> bool:
        """Whether every name is chosen."""
        return not (self._below or self._include or self._exclude)

    def takes(self, key: str) -> bool:
        """Whether a name is chosen."""
        return (
            (self._below is None or self._below.fullmatch(key) is not None)
            and (not self._include or any(pattern.match(key) for pattern in self._include))
            and not any(pattern.match(key) for pattern in self._exclude)
        )


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _path_pattern(glob: str) -> str:
    """Regular expression of a glob over path parts."""
    parts = []
    for part in glob.strip("/").split("/"):
        one = fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z")
        parts.append(".*" if part == "**" else one.replace(".*", "[^/]*"))
    return "/".join(parts)
