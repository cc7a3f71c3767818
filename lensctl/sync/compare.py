"""Compares objects of source and target, and copies with their recorded digests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from lensctl.rules.errors import InputError
from lensctl.sync.etag import Content, content_of_kind, parts_of
from lensctl.sync.ledger import CopyRecord
from lensctl.sync.object_store import Entry, ObjectStore
from lensctl.sync.throttle import Throttle


class Stopped(Exception):
    """The run has been stopped."""


class Comparer:
    """Reads objects of source and target, within the throttle's rate; raises Stopped once `stop` is set."""

    def __init__(
        self, source: ObjectStore, target: ObjectStore, stop: threading.Event, throttle: Throttle | None = None
    ) -> None:
        self._source, self._target, self._stop, self._throttle = source, target, stop, throttle

    def chunks(self, place: ObjectStore, entry: Entry) -> Iterator[bytes]:
        """The bytes of an object."""
        for chunk in place.read(entry):
            if self._throttle:
                self._throttle.take(len(chunk), self._stop.wait)
            if self._stop.is_set():
                raise Stopped
            yield chunk

    def read(self, place: ObjectStore, entry: Entry, into: Content) -> Content:
        """Read and hash an object."""
        for chunk in self.chunks(place, entry):
            into.update(chunk)
        return into

    def is_intact(self, known: CopyRecord, entry: Entry, there: Entry) -> bool:
        """Whether an earlier copy still has its recorded content; InputError if the source no longer has it."""

        def matches(place: ObjectStore, found: Entry) -> bool:
            return self.read(place, found, content_of_kind(known.digest, known.size)).digest == known.digest

        intact = matches(self._target, there)
        # S3 changes the ETag when an object is written: only a source on disk has to be re-read
        if not entry.etag and not matches(self._source, entry):
            raise InputError("the source's content changed but not its size and times; the copy was left alone")
        return intact

    def same(self, entry: Entry, there: Entry) -> Content | None:
        """The content of two objects of equal size if an ETag or both contents prove it identical, else None."""
        if not entry.etag and not there.etag:
            ours = self.read(self._source, entry, Content())
            return ours if ours.digest == self.read(self._target, there, Content()).digest else None
        near, far = (self._source, entry), (self._target, there)
        if entry.etag and not there.etag:
            near, far = far, near
        if near[1].etag and near[1].etag != far[1].etag:
            return None
        ours = self.read(*near, Content(parts_of(far[1].etag, entry.size)))
        return ours if ours.agrees(far[1].etag) else None
