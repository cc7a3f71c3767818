"""The mark `_INCOMPLETE`: a folder that is being copied, or was copied while it grew, is never taken for whole.

What reads tables and stores refuses a folder that holds the mark.
"""

from __future__ import annotations

import threading

from lensctl.io.storage.growing_folders import NOTES
from lensctl.io.storage.incomplete import INCOMPLETE, is_mark
from lensctl.sync.ledger import Ledger
from lensctl.sync.object_store import Entry, ObjectStore


class Marks:
    """The marks of one sync: its own on the target, and those of folders that still grow in the source.

    Parameters
    ----------
    target : Place
    ledger : Ledger
        Of the target.
    own : bool
        Whether the target is to hold all of a folder, so that it is not whole until all is copied.

    Attributes
    ----------
    growing : list of Entry
        Marks of the source. Their copies must appear before anything else does.
    """

    def __init__(self, target: ObjectStore, ledger: Ledger, own: bool) -> None:
        self.growing: list[Entry] = []
        self._target, self._ledger, self._own = target, ledger, own
        self._lock = threading.Lock()
        self._set = False

    def begin(self) -> None:
        """Say that the target is not whole; once, before anything is changed there."""
        with self._lock:
            if self._own and not self._set and all(mark.key != INCOMPLETE for mark in self.growing):
                self._target.write_note(INCOMPLETE, ["lensctl sync"])
            self._set = True

    def end(self) -> None:
        """All is copied: take away the sync's own mark, and copies of marks and notes of what has become whole."""
        here = {mark.key for mark in self.growing}
        gone = [key for key in self._ledger if is_mark(key) and key not in here]
        notes = tuple(f"{mark.removesuffix(INCOMPLETE)}{NOTES}/" for mark in gone)
        stale = [key for key in self._ledger if key.startswith(notes)] + gone
        if found := [key for key in stale if self._target.find(key)]:
            self._target.delete(found)
        if self._own and INCOMPLETE not in here and (self._set or self._target.find(INCOMPLETE)):
            self._target.write_note(INCOMPLETE, [])
