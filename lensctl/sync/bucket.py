"""Objects under an S3 prefix: obstore for bulk transfer, boto3 for multipart uploads, listings with verbatim keys."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any

from lensctl.io.storage import s3
from lensctl.rules.errors import ServiceError
from lensctl.rules.object_names import is_data
from lensctl.sync.bucket_listing import EPOCH, Listing, entry_of
from lensctl.sync.etag import WHOLE, parts_for
from lensctl.sync.object_store import Changed, Entry, ObjectStore

STREAM_BYTES = 1 << 20
LARGE_UPLOADS, CONCURRENT_PARTS = 3, 4
"""Concurrent multipart uploads, and concurrent parts of each: together they bound memory use."""
RANGE_BYTES = 8 << 20
RANGED_READS, CONCURRENT_RANGES = 3, 4
"""Large objects read by ranges concurrently, and ranges of each; further objects are read as one stream."""


class Bucket:
    """A prefix in a bucket, or one object. See `ObjectStore` for the methods."""

    stages = False

    def __init__(self, url: str, pattern: str = "", *, target: bool = False) -> None:
        self.bucket, key = s3.split_url(url)
        self.pattern = pattern
        self._store = s3.object_store(self.bucket)
        self._large, self._ranged = threading.Semaphore(LARGE_UPLOADS), threading.Semaphore(RANGED_READS)
        self._index: dict[str, Entry] | None = None
        self.only = ""
        self._prefix = key.rstrip("/") + "/" if key.strip("/") else ""
        self.name = f"s3://{self.bucket}/{self._prefix}".rstrip("/")
        if key and not (key.endswith("/") or pattern or target) and self._head(key):
            folder, _, self.only = key.rpartition("/")
            self._prefix = folder + "/" if folder else ""

    @contextmanager
    def _s3_errors(self, key: str) -> Iterator[None]:
        """As `s3.s3_errors`; Changed if the object is not the one that was listed."""
        from obstore.exceptions import PreconditionError

        with s3.s3_errors(f"s3://{self.bucket}/{key}"):
            try:
                yield
            except PreconditionError as error:
                raise Changed(key) from error

    def _head(self, key: str) -> Entry | None:
        import obstore

        with self._s3_errors(key):
            try:
                facts = obstore.head(self._store, key)
            except FileNotFoundError:
                return None
        etag = (facts["e_tag"] or "").strip('"')
        return entry_of(key.removeprefix(self._prefix), facts["size"], etag, facts["last_modified"])

    def entries(self) -> Iterator[Entry]:
        """Objects under the prefix; large listings are read several folders at a time."""
        if self.only:
            found = self._head(self._prefix + self.only)
            if found:
                yield found
            return
        for page in Listing(self.bucket, self._prefix, self.name).pages():
            for key, entry in page:
                if not key.startswith(self._prefix):
                    raise ServiceError(
                        f"{self.name}: S3 listed '{key}', which is not under this prefix", "check the endpoint"
                    )
                if (entry.key.endswith("/") and entry.size == 0) or not entry.key:
                    continue  # folder placeholder made by S3 consoles
                if is_data(entry.key):
                    yield entry

    def find(self, key: str) -> Entry | None:
        """One object, or None; a HEAD request unless `begin` has read the listing."""
        if self._index is not None:
            return self._index.get(key)
        return self._head(self._prefix + key)

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of an object, a large one by concurrent ranges; Changed if it was replaced since."""
        import obstore

        key = self._prefix + entry.key
        with self._s3_errors(key):
            options: Any = {"if_match": f'"{entry.etag}"'} if entry.etag else {}
            try:
                if entry.size <= STREAM_BYTES:
                    yield bytes(obstore.get(self._store, key, options=options).bytes())
                    return
                if entry.size > 2 * RANGE_BYTES and self._ranged.acquire(blocking=False):
                    try:
                        if (yield from self._by_ranges(key, entry.size, options)):
                            return
                    finally:
                        self._ranged.release()
                yield from obstore.get(self._store, key, options=options).stream(min_chunk_size=STREAM_BYTES)
            except FileNotFoundError as error:
                raise Changed(entry.key) from error

    def _by_ranges(self, key: str, size: int, options: Any) -> Generator[bytes, None, bool]:
        """The ranges of an object in order, prefetching a few; returns False if the server does not support ranges."""
        import obstore
        from obstore.exceptions import GenericError

        def get(start: int) -> Any:
            part: Any = {**options, "range": (start, min(start + RANGE_BYTES, size))}
            return obstore.get(self._store, key, options=part).bytes()

        starts = iter(range(0, size, RANGE_BYTES))
        try:
            yield get(next(starts))
        except GenericError:
            return False
        with ThreadPoolExecutor(CONCURRENT_RANGES) as pool:
            in_flight = deque(pool.submit(get, start) for start in islice(starts, CONCURRENT_RANGES))
            try:
                while in_flight:
                    yield in_flight.popleft().result()
                    in_flight.extend(pool.submit(get, start) for start in islice(starts, 1))
            finally:
                pool.shutdown(cancel_futures=True)
        return True

    def is_sealed(self, key: str) -> bool:
        """Whether S3 says an object is encrypted with a KMS or customer key."""
        with self._s3_errors(key):
            facts = s3.client().head_object(Bucket=self.bucket, Key=self._prefix + key)
        return "aws:kms" in facts.get("ServerSideEncryption", "") or "SSECustomerAlgorithm" in facts

    def put(self, key: str, chunks: Iterable[bytes], size: int, modified_ns: int) -> Callable[[], Entry]:
        """Upload an object; S3 makes it visible once complete."""
        import obstore

        full, parts = self._prefix + key, parts_for(size)
        if parts == WHOLE:
            data = b"".join(chunks)
            with self._s3_errors(full):
                etag = obstore.put(self._store, full, data, use_multipart=False)["e_tag"] or ""
        else:
            with self._large:
                etag = self._put_parts(full, chunks, parts)
        return lambda: self._indexed(entry_of(key, size, etag.strip('"'), EPOCH))

    def _put_parts(self, key: str, chunks: Iterable[bytes], part_bytes: int) -> str:
        """Multipart upload; aborted on any failure, including in `chunks`."""
        target = {"Bucket": self.bucket, "Key": key}
        with self._s3_errors(key):
            upload = s3.client().create_multipart_upload(**target)["UploadId"]
        done: list[dict[str, Any]] = []

        def send(number: int, data: bytes) -> dict[str, Any]:
            response = s3.client().upload_part(**target, UploadId=upload, PartNumber=number, Body=data)
            return {"PartNumber": number, "ETag": response["ETag"]}

        try:
            with ThreadPoolExecutor(CONCURRENT_PARTS) as pool:
                in_flight: set[Future[dict[str, Any]]] = set()
                for number, data in enumerate(_blocks(chunks, part_bytes), start=1):
                    if len(in_flight) >= CONCURRENT_PARTS:
                        finished, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                        with self._s3_errors(key):
                            done += [part.result() for part in finished]
                    in_flight.add(pool.submit(send, number, data))
                with self._s3_errors(key):
                    done += [part.result() for part in in_flight]
            with self._s3_errors(key):
                parts = {"Parts": sorted(done, key=lambda part: int(part["PartNumber"]))}
                return str(
                    s3.client().complete_multipart_upload(**target, UploadId=upload, MultipartUpload=parts)["ETag"]
                )
        except BaseException:
            s3.client().abort_multipart_upload(**target, UploadId=upload)
            raise

    def _indexed(self, entry: Entry) -> Entry:
        if self._index is not None:
            self._index[entry.key] = entry
        return entry

    def settle(self, entry: Entry, modified_ns: int) -> Entry:
        """No-op: S3 sets modification times itself."""
        return entry

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects."""
        import obstore

        with self._s3_errors(self._prefix + keys[0]):
            obstore.delete(self._store, [self._prefix + key for key in keys])
        for key in keys:
            (self._index or {}).pop(key, None)

    def read_note(self, name: str) -> list[bytes]:
        """Lines of a note; empty if there is none."""
        import obstore

        with self._s3_errors(self._prefix + name):
            try:
                return bytes(obstore.get(self._store, self._prefix + name).bytes()).splitlines()
            except FileNotFoundError:
                return []

    def write_note(self, name: str, lines: Iterable[str]) -> None:
        """Write a note atomically; one without lines is removed."""
        import obstore

        text = "".join(f"{line}\n" for line in lines).encode()
        with self._s3_errors(self._prefix + name):
            if text:
                obstore.put(self._store, self._prefix + name, text)
            else:
                obstore.delete(self._store, self._prefix + name)

    def append_note(self, line: str) -> None:
        """No-op: S3 objects cannot be appended to; a rerun compares ETags instead."""

    def free_bytes(self) -> int | None:
        """None: S3 does not run out of space."""
        return None

    def begin(self, dry_run: bool) -> None:
        """Read the listing, so that `find` needs no request per object."""
        self._index = {entry.key: entry for entry in self.entries()}

    def end(self) -> None:
        """No-op: no temporary objects to remove."""

    def holds(self, other: ObjectStore) -> bool:
        """Whether another store is this prefix or lies under it."""
        return isinstance(other, Bucket) and f"{other.name}/".startswith(f"{self.name}/")


def _blocks(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in blocks of equal size, the last one possibly shorter."""
    held: list[memoryview] = []
    room = size
    for chunk in chunks:
        view = memoryview(chunk)
        while len(view) >= room:
            yield b"".join((*held, view[:room]))
            view, held, room = view[room:], [], size
        if len(view):
            held.append(view)
            room -= len(view)
    if held:
        yield b"".join(held)
