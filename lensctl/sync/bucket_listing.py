"""Bucket listings: verbatim keys, several folders concurrently, read ahead of the copying threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from lensctl.io.storage import s3
from lensctl.io.storage.retry import POLICY
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
        import urllib3

        self._bucket, self._prefix, self._name = bucket, prefix, name
        timeout = urllib3.Timeout(connect=10, read=s3.REQUEST_SECONDS)
        self._http = urllib3.PoolManager(maxsize=LISTINGS, retries=POLICY.for_urllib3(), timeout=timeout)

    def pages(self) -> Iterator[Page]:
        """Every page; large listings are read several folders at a time."""
        page, _, token = self._page(self._prefix)
        if token:
            prefix, level = self._prefix, self._page(self._prefix, delimiter="/")
            while len(level[1]) == 1 and not level[0] and not level[2]:
                prefix = level[1][0]
                level = self._page(prefix, delimiter="/")
            objects, folders, more = level
            if len(folders) > 1 and not more:
                yield objects
                yield from _merged(folders, self._flat)
                return
        yield page
        while token:
            page, _, token = self._page(self._prefix, token)
            yield page

    def _flat(self, prefix: str) -> Iterator[Page]:
        token = ""
        while True:
            page, _, token = self._page(prefix, token)
            yield page
            if not token:
                return

    def _page(self, prefix: str, token: str = "", delimiter: str = "") -> tuple[Page, list[str], str]:
        """One page of a listing: objects with their full keys, subfolders, and the continuation token.

        Parsed here because libraries normalise keys (`/a`, `a//b`, `a/`) or reject the whole page for one of them.
        """
        import urllib3

        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        query |= {name: value for name, value in (("continuation-token", token), ("delimiter", delimiter)) if value}
        url = s3.signed(self._bucket, query)
        try:
            response = self._http.request("GET", url)
            text = response.data.decode()
            root = ElementTree.fromstring(text)
        except (urllib3.exceptions.HTTPError, UnicodeDecodeError, ElementTree.ParseError) as error:
            raise ServiceError(f"{self._name}: S3 returned no listing ({error})", "check the endpoint") from error
        namespace = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
        if response.status != 200 or not root.tag.endswith("ListBucketResult"):
            raise s3.unreachable(self._name, ServiceError(text))
        decode: Callable[[str], str] = unquote_plus if root.findtext(f"{namespace}EncodingType") == "url" else str
        objects = []
        for contents in root.iter(f"{namespace}Contents"):
            facts = {child.tag.removeprefix(namespace): child.text or "" for child in contents}
            key = decode(facts["Key"])
            changed = datetime.fromisoformat(facts["LastModified"])
            entry = entry_of(key[len(self._prefix) :], int(facts["Size"]), facts.get("ETag", "").strip('"'), changed)
            objects.append((key, entry))
        prefixes = root.iter(f"{namespace}CommonPrefixes")
        folders = [decode(prefix.findtext(f"{namespace}Prefix", "")) for prefix in prefixes]
        return objects, folders, root.findtext(f"{namespace}NextContinuationToken", "")


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
