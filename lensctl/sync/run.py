"""Verified, resumable copying of objects between S3 and disk."""

from __future__ import annotations

import functools
import json
import posixpath
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from lensctl.io.storage.incomplete import is_mark
from lensctl.io.storage.retry import RetryPolicy
from lensctl.rules import object_names
from lensctl.rules.errors import InputError, LensctlError, ServiceError
from lensctl.sync.batches import BATCH, batches
from lensctl.sync.compare import Comparer, Stopped
from lensctl.sync.etag import Content, parts_for, parts_of
from lensctl.sync.incomplete_marks import Marks
from lensctl.sync.ledger import CopyRecord, Ledger
from lensctl.sync.listing import Listed
from lensctl.sync.object_store import Changed, DiskFull, Entry, ObjectStore
from lensctl.sync.outcome import FAILURES, Outcome
from lensctl.sync.throttle import Throttle

OBJECT_RETRY = RetryPolicy(tries=3)
"""For an object the libraries gave up on, or that changed while it was read."""


def copy(
    source: ObjectStore,
    target: ObjectStore,
    *,
    selection: object_names.NameSelection,
    delete: bool = False,
    dry_run: bool = False,
    verify: bool = False,
    connections: int = 16,
    throttle: Throttle | None = None,
    advance: Callable[[int, int, int | None], None] = lambda done, size, total: None,
    tell: Callable[[str, str], None] = lambda action, key: None,
) -> Outcome:
    """Bring a target up to date with a source, object by object.

    Nothing appears in the target before the listing has shown that every name is valid and that there is room: on disk
    copies are staged meanwhile, on S3 uploads start then.

    Parameters
    ----------
    selection : NameSelection
        Objects to copy, and with `delete` to remove; others are left alone.
    delete : bool
        Remove objects of the target that the source does not have, once everything is copied without a failure.
    verify : bool
        Re-read every copy, earlier ones too, and compare it with what was copied; repair what differs.
    connections : int
        Objects in transfer at a time.
    throttle : Throttle, optional
        Limits the total read rate of source and target.
    advance : callable
        Called with the number of objects just handled, their bytes, and the total number of objects, once known.
    tell : callable
        Called with the action done, or in a dry run planned (copy, mend or delete), and the object's name.

    Raises
    ------
    InputError
        Nothing to copy, an invalid name, no space; nothing has been changed.
    """
    if (source.holds(target) and not source.only) or (target.holds(source) and not source.only):
        raise InputError(f"{source.name} and {target.name} overlap", "give folders that do not contain each other")
    if delete and (source.only or source.pattern):
        raise InputError("--delete compares folders", "name the folder, and select objects with --include")
    run = _Run(source, target, selection, verify, dry_run, connections, throttle, advance, tell)
    try:
        run.go()
        if delete and not run.outcome.failed:
            run.remove(selection)
    finally:
        run.close()
    return run.outcome


class _Run:
    """One sync: a listing thread, copying threads, and their shared state."""

    def __init__(
        self,
        source: ObjectStore,
        target: ObjectStore,
        selection: object_names.NameSelection,
        verify: bool,
        dry_run: bool,
        connections: int,
        throttle: Throttle | None,
        advance: Callable[[int, int, int | None], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self.source, self.target, self.ledger = source, target, Ledger(target)
        self.verify, self.dry_run = verify, dry_run
        self.outcome = Outcome()
        self._advance, self._tell = advance, tell
        self._pool = ThreadPoolExecutor(connections)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._listed = Listed(source, target, selection)
        self._comparer = Comparer(source, target, self._stop, throttle)
        self._waiting: list[Callable[[], None]] | None = []  # finishers held back; None once copies may appear
        self._marks = Marks(target, self.ledger, selection.all and not source.only)
        self._error: BaseException | None = None
        self._doubts: dict[str, str] = {}
        self._an_etag_matched = False
        self._target_etags_are_digests = True
        self._target_ready = self._all_done = False
        self._total: int | None = None

    # listing thread

    def go(self) -> None:
        """List, copy, and wait until everything is done."""
        preparing = self._pool.submit(self._begin)
        if self.target.stages:
            preparing.result()
            for batch in batches(self._entries()):
                self._submit(self._process, batch)
            with self._lock:
                waiting, self._waiting = self._waiting or [], None
            self._allow_changes(bool(waiting))
            for first in range(0, len(waiting), BATCH):
                self._submit(_call, waiting[first : first + BATCH])
        else:
            entries = list(self._entries())
            preparing.result()
            self._waiting = None
            self._allow_changes()
            for batch in batches(entries):
                self._submit(self._process, batch)
        self._pool.shutdown()
        if self._error:
            raise self._error
        self._all_done = True
        if not (self.dry_run or self.outcome.failed):
            self._marks.end()
        self.outcome.growing = sorted(posixpath.dirname(mark.key) or "." for mark in self._marks.growing)
        self.outcome.objects, self.outcome.bytes = self._listed.objects, self._listed.bytes

    def _begin(self) -> None:
        self.target.begin(self.dry_run)
        self._target_ready = True

    def _entries(self) -> Iterator[Entry]:
        for entry in self._listed:
            if self._error:
                raise self._error
            if is_mark(entry.key):
                self._marks.growing.append(entry)
            else:
                yield entry
        self._total = self._listed.objects

    def _allow_changes(self, now: bool = False) -> None:
        """All names are known: copies may appear, after the marks of growing folders."""
        if not self.dry_run and (now or self._marks.growing):
            self._marks.begin()
        for mark in self._marks.growing:
            self._process(mark)

    def _submit(self, job: Callable[[Any], None], each: Sequence[Any]) -> None:
        self._pool.submit(lambda: deque(map(job, each), maxlen=0)).add_done_callback(self._job_done)

    def _job_done(self, job: Future[Any]) -> None:
        if not job.cancelled() and (error := job.exception()):
            self._error = self._error or error
            self._stop.set()

    # copying threads

    def _process(self, entry: Entry) -> None:
        if self._stop.is_set():
            return
        if entry.problem:
            self._fail(entry.key, entry.problem)
            return
        key, reason = entry.key, "changed each time it was read, or does not match its ETag"
        for attempt in range(1, OBJECT_RETRY.tries + 1):
            try:
                self._copy_if_needed(entry)
                return
            except Stopped:
                return
            except Changed:
                found = self.source.find(key)
                if found is None:
                    reason = "disappeared while it was read"
                    break
                entry = found
            except ServiceError as error:
                reason = _reason(error)
                self._stop.wait(OBJECT_RETRY.longest_before(attempt))
            except (InputError, OSError) as error:
                if isinstance(error, DiskFull):
                    raise
                reason = _reason(error)
                break
        self._fail(key, reason)

    def _copy_if_needed(self, entry: Entry) -> None:
        """Skip an object whose copy is up to date, else copy it."""
        there = self.target.find(entry.key)
        action = "copy"
        if there is not None and there.size == entry.size:
            known = self.ledger.get(entry.key)
            if known and (known.size, known.source, known.target) == (entry.size, entry.stamp, there.mark):
                if not self.verify or self._comparer.is_intact(known, entry, there):
                    self._count(entry, skipped=1)
                    return
                action = "mend"
                with self._lock:
                    self.outcome.corrupt.append(entry.key)
            elif same := self._comparer.same(entry, there):
                if not self.dry_run:
                    there = self.target.settle(there, entry.modified_ns)
                    self.ledger.put(entry.key, CopyRecord(entry.size, same.digest, entry.stamp, there.mark))
                self._count(entry, skipped=1)
                return
        if self.dry_run:
            self._tell(action, entry.key)
            self._count(entry, copied=1)
            return
        self._copy(entry, action)

    def _copy(self, entry: Entry, action: str) -> None:
        """Copy an object in one pass, hashing it in transfer."""
        if self._waiting is None:
            self._marks.begin()
        if entry.etag:
            content = Content(parts_of(entry.etag, entry.size))
        else:
            content = Content(None if self.target.stages else parts_for(entry.size))

        def hashed() -> Iterator[bytes]:
            for chunk in self._comparer.chunks(self.source, entry):
                content.update(chunk)
                yield chunk
            if not self._matches_listing(entry, content):
                raise Changed(entry.key)

        appear = self.target.put(entry.key, hashed(), entry.size, entry.modified_ns)
        finish = functools.partial(self._finish, entry, content, appear, action)
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(finish)
                return
        finish()

    def _matches_listing(self, entry: Entry, content: Content) -> bool:
        """Whether what was read is the object that was listed.

        Bytes that do not match their ETag are read again. If the second read is identical, the ETag may not be a
        digest: S3 reports objects encrypted with another key, and if no ETag ever matched, none is taken to be one.
        """
        if content.size != entry.size:
            return False
        agrees = content.agrees(entry.etag)
        if agrees is not False:
            self._an_etag_matched = self._an_etag_matched or agrees is True
            return True
        twice = self._doubts.get(entry.key) == content.digest
        self._doubts[entry.key] = content.digest
        return twice and (not self._an_etag_matched or self.source.is_sealed(entry.key))

    def _finish(self, entry: Entry, content: Content, appear: Callable[[], Entry], action: str) -> None:
        """Make a copy appear, verify and record it."""
        try:
            copied = appear()
            doubtful = self._target_etags_are_digests and content.agrees(copied.etag) is False
            if copied.size != entry.size:
                raise ServiceError(f"the copy has {copied.size:,} bytes, not {entry.size:,}")
            if doubtful or self.verify:
                if self._comparer.read(self.target, copied, Content(content.parts)).digest != content.digest:
                    self.target.delete([entry.key])
                    raise ServiceError("the copy did not read back as written, and was removed")
                if doubtful:
                    self._target_etags_are_digests = False
            self.ledger.put(entry.key, CopyRecord(entry.size, content.digest, entry.stamp, copied.mark))
        except Stopped:
            return
        except (LensctlError, OSError) as error:
            self._fail(entry.key, _reason(error))
            return
        self._tell(action, entry.key)
        self._count(entry, copied=1)

    def _count(self, entry: Entry, skipped: int = 0, copied: int = 0) -> None:
        with self._lock:
            self.outcome.skipped += skipped
            self.outcome.copied += copied
            self.outcome.copied_bytes += copied * entry.size
            self._advance(1, entry.size, self._total)

    def _fail(self, key: str, reason: str) -> None:
        with self._lock:
            self.outcome.failed[key] = reason
            self._advance(1, 0, self._total)

    # when all are copied

    def remove(self, selection: object_names.NameSelection) -> None:
        """Delete objects the source does not have."""
        listed = (entry.key for entry in self.target.entries() if selection.takes(entry.key))
        surplus = sorted(key for key in listed if key not in self._listed)
        for key in surplus:
            self._tell("delete", key)
        if surplus and not self.dry_run:
            self.ledger.changed = True
            self.target.delete(surplus)
        self.outcome.deleted = len(surplus)

    def close(self) -> None:
        """Stop remaining work, and write the ledger and the list of failures."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        self.outcome.corrupt.sort()
        if self.dry_run or not self._target_ready:
            return
        try:
            if self._waiting is None:
                self.ledger.save(lambda key: self.target.find(key) is not None)
            failed = [json.dumps({"key": key, "reason": why}) for key, why in sorted(self.outcome.failed.items())]
            if failed or (self._all_done and self.target.read_note(FAILURES)):
                self.target.write_note(FAILURES, failed)
        finally:
            self.target.end()


def _reason(error: Exception) -> str:
    """The short reason of an error."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _call(job: Callable[[], None]) -> None:
    job()
