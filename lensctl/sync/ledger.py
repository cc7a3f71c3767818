"""Record of each copied object: size, digest, and stamps that show whether anything changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from lensctl.rules.config import json_value
from lensctl.rules.object_names import LEDGER
from lensctl.sync.object_store import ObjectStore


@dataclass(frozen=True, slots=True)
class CopyRecord:
    """One object as it was copied: size in bytes, digest, stamp of the source and mark of the target."""

    size: int
    digest: str
    source: str
    target: str


class Ledger:
    """The records of a target, kept in its `.lensctl-sync.jsonl`: one JSON line per object, sorted by name."""

    def __init__(self, place: ObjectStore) -> None:
        self._place = place
        self._lines: dict[str, bytes] = {}
        self.changed = False
        for line in place.read_note(LEDGER):
            try:
                key = json_value(line)["key"]
                key.encode()
                self._lines[key] = line
            except (ValueError, KeyError, TypeError, AttributeError):
                self.changed = True  # the last line of an interrupted run

    def __iter__(self) -> Iterator[str]:
        """Names of all recorded objects, sorted."""
        return iter(sorted(self._lines))

    def get(self, key: str) -> CopyRecord | None:
        """The record of an object, or None."""
        line = self._lines.get(key)
        if line is None:
            return None
        try:
            fields = json_value(line)
            fields.pop("key")
            return CopyRecord(**fields)
        except TypeError:
            return None

    def put(self, key: str, record: CopyRecord) -> None:
        """Record an object; appended to the store immediately if it supports that."""
        line = json.dumps({"key": key, **asdict(record)}, separators=(",", ":"))
        if self._lines.get(key) != line.encode():
            self._lines[key] = line.encode()
            self.changed = True
            self._place.append_note(line)

    def save(self, is_there: Callable[[str], bool]) -> None:
        """Write the ledger without objects that are gone; does nothing if unchanged."""
        if self.changed:
            self._place.write_note(LEDGER, (self._lines[key].decode() for key in sorted(self._lines) if is_there(key)))
