"""Objects under a folder on disk or under a prefix on S3, through one small interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lensctl.rules.errors import InputError


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: its name below the place, and what tells whether it changed.

    Attributes
    ----------
    size : int
        Bytes.
    stamp : str
        Another one when the object is written again: its times on disk, its ETag on S3.
    modified_ns : int
        Time of the last change, ns since 1970.
    etag : str
        Empty on disk.
    problem : str
        Why the object cannot be read; empty for one that can.
    """

    key: str
    size: int
    stamp: str
    modified_ns: int
    etag: str = ""
    problem: str = ""

    @property
    def mark(self) -> str:
        """What a copy of the same object has in common with this one: ETag, or time of its content."""
        return self.etag or str(self.modified_ns)


class Changed(Exception):
    """An object was written while it was read, or since it was listed."""


class DiskFull(InputError):
    """The target has no room left: going on makes no sense."""


class ObjectStore(Protocol):
    """Where objects are.

    Attributes
    ----------
    name : str
        As people call it, without a slash at the end.
    only : str
        Key of the one object meant, where the place is a single one; else empty.
    pattern : str
        Rest of a glob to choose objects by; else empty.
    stages : bool
        Whether what is put may wait, whole, for its appearance.
    """

    name: str
    only: str
    pattern: str
    stages: bool

    def entries(self) -> Iterator[Entry]:
        """Every object that is data, as it is found; those that cannot be read carry a problem."""

    def find(self, key: str) -> Entry | None:
        """One object, or None where it is not there."""

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of an object; Changed where it is not the one that was listed."""

    def is_sealed(self, key: str) -> bool:
        """Whether the ETag of an object is no digest of its content, because of how it is encrypted."""

    def put(self, key: str, chunks: Iterable[bytes], size: int, modified_ns: int) -> Callable[[], Entry]:
        """Take in an object; it appears, whole, when the function given back is called, if not before."""

    def settle(self, entry: Entry, modified_ns: int) -> Entry:
        """Give an object that is as it should be the time of its source, where that can be."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects."""

    def read_note(self, name: str) -> list[bytes]:
        """Lines of a file of our own in this place, oldest first; none where there is none."""

    def write_note(self, name: str, lines: Iterable[str]) -> None:
        """Write a file of our own, whole; one without lines is removed."""

    def append_note(self, line: str) -> None:
        """Keep a line of the ledger in case this run is cut short, where that is cheap."""

    def free_bytes(self) -> int | None:
        """Room that is left; None where there is no telling."""

    def begin(self, dry_run: bool) -> None:
        """Make ready for writing (in a dry run for looking only); InputError where another sync is at it."""

    def end(self) -> None:
        """Leave nothing of our own behind but the notes."""

    def holds(self, other: ObjectStore) -> bool:
        """Whether another place is this one or lies in it."""
