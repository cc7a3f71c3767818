"""Copies objects from one place to another, S3 or disk, verified, and goes on where it was cut short."""

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
"""For an object that the libraries gave up, or that changed while it was read."""


def sync(
    source: ObjectStore,
    target: ObjectStore,
    *,
    selection: object_names.NameSelection,
    delete: bool = False,
    dry_run: bool = False,
    verify: bool = False,
    connections: int = 16,
    throttle: Throttle | None = None,
    advance: Callable[[int, int, int | None], None] = lambda done, size, of: None,
    tell: Callable[[str, str], None] = lambda action, key: None,
) -> Outcome:
    """Make a target hold what a source holds, object by object.

    Listing and transfer run together. On disk nothing appears before the listing has shown that every name may be
    laid there and that there is room; S3 takes uploads from then on.

    Parameters
    ----------
    selection : Selection
        Objects to copy, and with `delete` to remove; others are let be.
    delete : bool
        Remove objects of the target that the source does not have, once all others are copied without a failure.
    verify : bool
        Read every copy again, those made before too, and compare it with what was copied; mend what differs.
    connections : int
        Objects underway at a time.
    throttle : Throttle, optional
        Limits what is read, of source and target together.
    advance : callable
        Called with the number of objects just dealt with, their bytes, and how many objects there are, once all are
        listed.
    tell : callable
        Called with what was done, or in a dry run would be, and the name of the object: copy, mend or delete.

    Raises
    ------
    InputError
        Nothing to copy, a name that may not be written, no room. Nothing has changed then.
    """
    if (source.holds(target) and not source.only) or (target.holds(source) and not source.only):
        raise InputError(f"{source.name} and {target.name} lie in each other", "give places that are apart")
    if delete and (source.only or source.pattern):
        raise InputError("--delete compares folders", "name the folder, and choose objects with --include")
    run = _Run(source, target, selection, verify, dry_run, connections, throttle, advance, tell)
    try:
        run.go()
        if delete and not run.outcome.failed:
            run.remove(selection)
    finally:
        run.close()
    return run.outcome


class _Run:
    """One sync: a thread that lists, some that copy, and what they share."""

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
        self._alike = Comparer(source, target, self._stop, throttle)
        self._waiting: list[Callable[[], None]] | None = []  # None once copies may appear
        self._marks = Marks(target, self.ledger, selection.all and not source.only)
        self._broken: BaseException | None = None
        self._doubts: dict[str, str] = {}
        self._etags_fit = False
        self._target_etags_tell = True
        self._begun = self._whole = False
        self._all_listed: int | None = None

    # the thread that lists

    def go(self) -> None:
        """List, copy, and wait until all is done."""
        begun = self._pool.submit(self._begin)
        if self.target.stages:
            begun.result()
            for batch in batches(self._entries()):
                self._submit(self._deal_with, batch)
            with self._lock:
                waiting, self._waiting = self._waiting or [], None
            self._begin_to_change(bool(waiting))
            for first in range(0, len(waiting), BATCH):
                self._submit(_call, waiting[first : first + BATCH])
        else:
            entries = list(self._entries())
            begun.result()
            self._waiting = None
            self._begin_to_change()
            for batch in batches(entries):
                self._submit(self._deal_with, batch)
        self._pool.shutdown()
        if self._broken:
            raise self._broken
        self._whole = True
        if not (self.dry_run or self.outcome.failed):
            self._marks.end()
        self.outcome.growing = sorted(posixpath.dirname(mark.key) or "." for mark in self._marks.growing)
        self.outcome.objects, self.outcome.bytes = self._listed.objects, self._listed.bytes

    def _begin(self) -> None:
        self.target.begin(self.dry_run)
        self._begun = True

    def _entries(self) -> Iterator[Entry]:
        for entry in self._listed:
            if self._broken:
                raise self._broken
            if is_mark(entry.key):
                self._marks.growing.append(entry)
            else:
                yield entry
        self._all_listed = self._listed.objects

    def _begin_to_change(self, now: bool = False) -> None:
        """All names are known: copies may appear, after the marks of what still grows."""
        if not self.dry_run and (now or self._marks.growing):
            self._marks.begin()
        for mark in self._marks.growing:
            self._deal_with(mark)

    def _submit(self, job: Callable[[Any], None], each: Sequence[Any]) -> None:
        self._pool.submit(lambda: deque(map(job, each), maxlen=0)).add_done_callback(self._ended)

    def _ended(self, job: Future[Any]) -> None:
        if not job.cancelled() and (error := job.exception()):
            self._broken = self._broken or error
            self._stop.set()

    # the threads that copy

    def _deal_with(self, entry: Entry) -> None:
        if self._stop.is_set():
            return
        if entry.problem:
            self._fail(entry.key, entry.problem)
            return
        key, why = entry.key, "was another each time it was read, or does not fit its ETag"
        for attempt in range(1, OBJECT_RETRY.tries + 1):
            try:
                self._decide(entry)
                return
            except Stopped:
                return
            except Changed:
                found = self.source.find(key)
                if found is None:
                    why = "went away while it was read"
                    break
                entry = found
            except ServiceError as error:
                why = _reason(error)
                self._stop.wait(OBJECT_RETRY.longest_before(attempt))
            except (InputError, OSError) as error:
                if isinstance(error, DiskFull):
                    raise
                why = _reason(error)
                break
        self._fail(key, why)

    def _decide(self, entry: Entry) -> None:
        """Skip an object whose copy is right, else copy it."""
        there = self.target.find(entry.key)
        action = "copy"
        if there is not None and there.size == entry.size:
            known = self.ledger.get(entry.key)
            if known and (known.size, known.source, known.target) == (entry.size, entry.stamp, there.mark):
                if not self.verify or self._alike.still(known, entry, there):
                    self._count(entry, skipped=1)
                    return
                action = "mend"
                with self._lock:
                    self.outcome.corrupt.append(entry.key)
            elif same := self._alike.same(entry, there):
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
        """Read an object once, on its way to the target, and see that it came through."""
        if self._waiting is None:
            self._marks.begin()
        if entry.etag:
            total = Content(parts_of(entry.etag, entry.size))
        else:
            total = Content(None if self.target.stages else parts_for(entry.size))

        def passing() -> Iterator[bytes]:
            for chunk in self._alike.chunks(self.source, entry):
                total.update(chunk)
                yield chunk
            if not self._fits(entry, total):
                raise Changed(entry.key)

        appear = self.target.put(entry.key, passing(), entry.size, entry.modified_ns)
        finish = functools.partial(self._finish, entry, total, appear, action)
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(finish)
                return
        finish()

    def _fits(self, entry: Entry, total: Content) -> bool:
        """Whether what was read is the object that was listed.

        Bytes that do not fit their ETag are read again. If they come twice alike, the ETag may be no digest: S3 says
        so of an object encrypted with a key of its own, and where no ETag ever fitted none is taken to be one.
        """
        if total.size != entry.size:
            return False
        agrees = total.agrees(entry.etag)
        if agrees is not False:
            self._etags_fit = self._etags_fit or agrees is True
            return True
        twice = self._doubts.get(entry.key) == total.digest
        self._doubts[entry.key] = total.digest
        return twice and (not self._etags_fit or self.source.is_sealed(entry.key))

    def _finish(self, entry: Entry, total: Content, appear: Callable[[], Entry], action: str) -> None:
        """Let a copy appear, and note it."""
        try:
            made = appear()
            doubtful = self._target_etags_tell and total.agrees(made.etag) is False
            if made.size != entry.size:
                raise ServiceError(f"the copy has {made.size:,} bytes, not {entry.size:,}")
            if doubtful or self.verify:
                if self._alike.read(self.target, made, Content(total.parts)).digest != total.digest:
                    self.target.delete([entry.key])
                    raise ServiceError("the copy did not read back as what was copied, and was removed")
                if doubtful:
                    self._target_etags_tell = False
            self.ledger.put(entry.key, CopyRecord(entry.size, total.digest, entry.stamp, made.mark))
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
            self._advance(1, entry.size, self._all_listed)

    def _fail(self, key: str, reason: str) -> None:
        with self._lock:
            self.outcome.failed[key] = reason
            self._advance(1, 0, self._all_listed)

    # afterwards

    def remove(self, selection: object_names.NameSelection) -> None:
        """Delete what the source does not have."""
        listed = (entry.key for entry in self.target.entries() if selection.takes(entry.key))
        surplus = sorted(key for key in listed if key not in self._listed)
        for key in surplus:
            self._tell("delete", key)
        if surplus and not self.dry_run:
            self.ledger.changed = True
            self.target.delete(surplus)
        self.outcome.deleted = len(surplus)

    def close(self) -> None:
        """Stop what still runs, and leave the ledger and the list of failures."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        self.outcome.corrupt.sort()
        if self.dry_run or not self._begun:
            return
        try:
            if self._waiting is None:
                self.ledger.save(lambda key: self.target.find(key) is not None)
            failed = [json.dumps({"key": key, "reason": why}) for key, why in sorted(self.outcome.failed.items())]
            if failed or (self._whole and self.target.read_note(FAILURES)):
                self.target.write_note(FAILURES, failed)
        finally:
            self.target.end()


def _reason(error: Exception) -> str:
    """An error in a few words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _call(job: Callable[[], None]) -> None:
    job()
