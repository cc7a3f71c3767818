"""The objects to copy: selected, with valid names, and with enough room for them."""

from __future__ import annotations

from collections.abc import Iterator

from lensctl.rules import object_names
from lensctl.rules.errors import InputError
from lensctl.sync.object_store import DiskFull, Entry, ObjectStore

NAMES_SHOWN = 10
CLASH = "clashes with another name (case, or file and folder)"


class Listed:
    """The selected objects of a source, as they are listed.

    Attributes
    ----------
    objects, bytes : int
        Listed so far.
    refused : bool
        Whether an invalid name was found: listing continues only to report all of them.
    """

    def __init__(self, source: ObjectStore, target: ObjectStore, selection: object_names.NameSelection) -> None:
        self.objects = self.bytes = 0
        self._source, self._target, self._selection = source, target, selection
        self._names: set[int] = set()
        self._bad: dict[str, str] = {}
        self._clashes = object_names.Clashes()
        self._clash = False

    @property
    def refused(self) -> bool:
        """Whether an invalid name was found, so that nothing may be written."""
        return self._clash or bool(self._bad)

    def __contains__(self, key: str) -> bool:
        """Whether an object of this name was listed."""
        return hash(key) in self._names

    def __iter__(self) -> Iterator[Entry]:
        """List; InputError at the end for invalid names or nothing to copy, DiskFull for lack of room."""
        room, needed, skipped = self._target.free_bytes(), 0, 0
        for entry in self._source.entries():
            if not self._selection.takes(entry.key):
                skipped += 1
                continue
            if not entry.problem and (problem := object_names.problem(entry.key)):
                self._bad[entry.key] = problem
            self._clash |= self._clashes.add(entry.key)
            if self.refused:
                continue
            self._names.add(hash(entry.key))
            self.objects += 1
            self.bytes += entry.size
            if room is not None:
                there = self._target.find(entry.key)
                needed += entry.size if there is None or there.size != entry.size else 0
                if needed > room:
                    raise DiskFull(
                        f"{self._target.name}: {room:,} bytes are free, and at least {needed:,} are needed",
                        "free some space, or select less with --include",
                    )
            yield entry
        if self.refused:
            raise self._refusal()
        if not self.objects:
            why = f"none of {skipped:,} objects is selected" if skipped else "there is nothing to copy"
            raise InputError(f"{self._source.name}: {why}", "check the path and the patterns")

    def _refusal(self) -> InputError:
        """An error naming all invalid names; clashing ones are found by listing again."""
        if self._clash:
            found = (entry.key for entry in self._source.entries() if self._clashes.involves(entry.key))
            self._bad |= {key: CLASH for key in found if self._selection.takes(key)}
        shown = ", ".join(f"{key!r} {why}" for key, why in sorted(self._bad.items())[:NAMES_SHOWN])
        more = f", and {len(self._bad) - NAMES_SHOWN:,} more" if len(self._bad) > NAMES_SHOWN else ""
        return InputError(
            f"{self._source.name}: {len(self._bad):,} names are invalid: {shown}{more}",
            "rename them, or skip them with --exclude",
        )
