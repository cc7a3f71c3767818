"""Bucket listings by boto3: verbatim keys, several folders concurrently, read ahead of the copying threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from lensctl.io.storage import s3
from lensctl.rules.errors import ServiceError
from lensctl.sync.object_store import Entry

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LISTINGS = 8
"""Folders listed concurrently."""

Page = list[tuple[str, Entry]]
"""Objects with their full keys."""


def entry_of(key: str, size: int, etag: str, changed: datetime) -> Entry:
    """An entry from the fields S3 returns."""
    since = changed - EPOCH
    modified_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    return Entry(key, size, etag or str(modified_ns), modified_ns, etag)


class Listing:
    """The objects under a prefix of a bucket.

    Parameters
    ----------
    bucket, prefix : str
        Keys of entries are relative to the prefix.
    name : str
        Name of the store in messages.
    """

    def __init__(self, bucket: str, prefix: str, name: str) -> None:
        self._bucket, self._prefix, self._name = bucket, prefix, name

    def pages(self) -> Iterator[Page]:
        """Every page; large listings are read several folders at a time."""
        flat = self._responses(self._prefix)
        first = next(flat)
        if first["IsTruncated"]:
            prefix, level = self._prefix, self._level(self._prefix)
            while len(level[1]) == 1 and not level[0] and not level[2]:
                prefix = level[1][0]
                level = self._level(prefix)
            objects, folders, more = level
            if len(folders) > 1 and not more:
                yield objects
                yield from _merged(folders, self._flat)
                return
        yield self._page(first)
        yield from map(self._page, flat)

    def _flat(self, prefix: str) -> Iterator[Page]:
        return map(self._page, self._responses(prefix))

    def _level(self, prefix: str) -> tuple[Page, list[str], bool]:
        """The first page of one folder: its objects, its subfolders, and whether there are more."""
        response = next(self._responses(prefix, Delimiter="/"))
        folders = [folder["Prefix"] for folder in response.get("CommonPrefixes", ())]
        return self._page(response), folders, response["IsTruncated"]

    def _responses(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        """Pages as S3 returns them. By boto3, because obstore changes keys such as `/a`, `a//b` and `a/`."""
        pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix, **options)
        with s3.s3_errors(self._name):
            for page in pages:
                if "IsTruncated" not in page:  # not from S3; boto3 takes any XML for an empty listing
                    raise ServiceError(f"{self._name}: S3 returned no listing", "check the endpoint")
                yield page

    def _page(self, response: dict[str, Any]) -> Page:
        page = []
        for facts in response.get("Contents", ()):
            key, etag = facts["Key"], facts.get("ETag", "").strip('"')
            page.append((key, entry_of(key[len(self._prefix) :], facts["Size"], etag, facts["LastModified"])))
        return page


def _merged(folders: list[str], pages: Callable[[str], Iterator[Page]]) -> Iterator[Page]:
    """Pages from several folders as they arrive; only a few are buffered."""
    ready: queue.Queue[Page | None] = queue.Queue(maxsize=4 * LISTINGS)
    abandoned = threading.Event()

    def offer(page: Page | None) -> None:
        while not abandoned.is_set():
            with suppress(queue.Full):
                ready.put(page, timeout=0.2)
                return

    def run(folder: str) -> None:
        try:
            for page in pages(folder):
                offer(page)
                if abandoned.is_set():
                    return
        finally:
            offer(None)

    with ThreadPoolExecutor(LISTINGS) as pool:
        try:
            listings = [pool.submit(run, folder) for folder in folders]
            unfinished = len(folders)
            while unfinished:
                page = ready.get()
                if page is None:
                    unfinished -= 1
                else:
                    yield page
            for listing in listings:
                listing.result()
        finally:
            abandoned.set()
            pool.shutdown(cancel_futures=True)
