"""The mark `_INCOMPLETE` in a folder that is being copied, or was copied while still growing.

Code that reads tables and stores refuses a folder that holds the mark.
"""

from __future__ import annotations

import threading

from lensctl.io.storage.growing_folders import NOTES
from lensctl.io.storage.incomplete import INCOMPLETE, is_mark
from lensctl.sync.ledger import Ledger
from lensctl.sync.object_store import Entry, ObjectStore


class Marks:
    """The marks of one sync: its own on the target, and those of folders still growing in the source.

    Parameters
    ----------
    target : ObjectStore
    ledger : Ledger
        Of the target.
    own : bool
        Whether the target is a full copy of a folder, and so incomplete until everything is copied.

    Attributes
    ----------
    growing : list of Entry
        Marks in the source. Their copies must appear before anything else.
    """

    def __init__(self, target: ObjectStore, ledger: Ledger, own: bool) -> None:
        self.growing: list[Entry] = []
        self._target, self._ledger, self._own = target, ledger, own
        self._lock = threading.Lock()
        self._set = False

    def begin(self) -> None:
        """Mark the target as incomplete; once, before anything is changed there."""
        with self._lock:
            if self._own and not self._set and all(mark.key != INCOMPLETE for mark in self.growing):
                self._target.write_note(INCOMPLETE, ["lensctl sync"])
            self._set = True

    def end(self) -> None:
        """Everything is copied: remove the sync's own mark, and copied marks and notes of folders now complete."""
        here = {mark.key for mark in self.growing}
        gone = [key for key in self._ledger if is_mark(key) and key not in here]
        notes = tuple(f"{mark.removesuffix(INCOMPLETE)}{NOTES}/" for mark in gone)
        stale = [key for key in self._ledger if key.startswith(notes)] + gone
        if found := [key for key in stale if self._target.find(key)]:
            self._target.delete(found)
        if self._own and INCOMPLETE not in here and (self._set or self._target.find(INCOMPLETE)):
            self._target.write_note(INCOMPLETE, [])
