"""Common interface to objects under a folder on disk or a prefix on S3."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lensctl.rules.errors import InputError


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: its key within the store, and what shows whether it changed.

    Attributes
    ----------
    size : int
        Bytes.
    stamp : str
        Changes when the object is rewritten: its times on disk, its ETag on S3.
    modified_ns : int
        Time of last modification, ns since 1970.
    etag : str
        Empty on disk.
    problem : str
        Why the object cannot be read; empty if it can.
    """

    key: str
    size: int
    stamp: str
    modified_ns: int
    etag: str = ""
    problem: str = ""

    @property
    def mark(self) -> str:
        """What identifies the object's content: ETag, or modification time."""
        return self.etag or str(self.modified_ns)


class Changed(Exception):
    """An object was modified since it was listed."""


class DiskFull(InputError):
    """The target has no space left, so the run must stop."""


class ObjectStore(Protocol):
    """A store of objects.

    Attributes
    ----------
    name : str
        Name in messages, without a trailing slash.
    only : str
        Key of the object, if the path names a single one; else empty.
    pattern : str
        Rest of a glob that selects objects; else empty.
    stages : bool
        Whether `put` stages objects, so that they appear only when told to.
    """

    name: str
    only: str
    pattern: str
    stages: bool

    def entries(self) -> Iterator[Entry]:
        """Every data object, as it is listed; unreadable ones carry a problem."""

    def find(self, key: str) -> Entry | None:
        """One object, or None if there is none."""

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of an object; Changed if it is not the one that was listed."""

    def is_sealed(self, key: str) -> bool:
        """Whether an object's ETag is not a digest of its content, because of its encryption."""

    def put(self, key: str, chunks: Iterable[bytes], size: int, modified_ns: int) -> Callable[[], Entry]:
        """Write an object; it appears, complete, at the latest when the returned function is called."""

    def settle(self, entry: Entry, modified_ns: int) -> Entry:
        """Set the modification time of an up-to-date object to that of its source, if possible."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects."""

    def read_note(self, name: str) -> list[bytes]:
        """Lines of one of sync's own files, oldest first; empty if there is none."""

    def write_note(self, name: str, lines: Iterable[str]) -> None:
        """Write one of sync's own files atomically; one without lines is removed."""

    def append_note(self, line: str) -> None:
        """Save a ledger line in case this run is interrupted, if that is cheap."""

    def free_bytes(self) -> int | None:
        """Free space; None if unknown."""

    def begin(self, dry_run: bool) -> None:
        """Prepare for writing (in a dry run only for reading); InputError if another sync is using it."""

    def end(self) -> None:
        """Remove temporary files, keeping the notes."""

    def holds(self, other: ObjectStore) -> bool:
        """Whether another store is this one or lies in it."""
