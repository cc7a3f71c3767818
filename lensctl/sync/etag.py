"""Hashes of streamed bytes: their size, and the SHA-256 or the ETag that S3 would give them."""

from __future__ import annotations

import hashlib
import re

MIB = 1 << 20
PART_BYTES = 8 * MIB
MOST_PARTS = 10_000
_KNOWN_PARTS = tuple(mib * MIB for mib in (8, 5, 16, 32, 64, 10, 15, 20, 25, 50, 100, 128, 256, 512))
_ETAG = re.compile(r"[0-9a-f]{32}(?:-(\d+))?")
WHOLE = 0
"""Part size of an object uploaded in one piece: its ETag is the MD5 of all its bytes."""


def parts_for(size: int) -> int:
    """Part size in bytes for uploading an object of this size to S3 (10,000 parts at most); WHOLE if small."""
    if size <= PART_BYTES:
        return WHOLE
    return max(PART_BYTES, -(-size // (MOST_PARTS * MIB)) * MIB)


def parts_of(etag: str, size: int) -> int | None:
    """Part size in bytes that explains an ETag, among those common tools use; None if unknown."""
    found = _ETAG.fullmatch(etag)
    if not found:
        return None
    if found[1] is None:
        return WHOLE
    return next((n for n in (parts_for(size), *_KNOWN_PARTS) if n and -(-size // n) == int(found[1])), None)


class Content:
    """Running hash of bytes; only one kind is computed, because an ETag's MD5 dominates the cost of a copy.

    Parameters
    ----------
    parts : int, optional
        Part size in bytes for the ETag; WHOLE for an object in one piece. None computes the SHA-256 instead.

    Attributes
    ----------
    size : int
        Bytes so far.
    parts : int or None
        As given.
    """

    def __init__(self, parts: int | None = None) -> None:
        self.size, self.parts = 0, parts
        self._hash = hashlib.sha256() if parts is None else hashlib.md5(usedforsecurity=False)
        self._done: list[bytes] = []
        self._room = parts or 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Hash the next bytes."""
        self.size += len(chunk)
        if not self.parts:
            self._hash.update(chunk)
            return
        view = memoryview(chunk)
        while len(view):
            head, view = view[: self._room], view[self._room :]
            self._hash.update(head)
            self._room -= len(head)
            if not self._room:
                self._done.append(self._hash.digest())
                self._hash = hashlib.md5(usedforsecurity=False)
                self._room = self.parts

    @property
    def etag(self) -> str:
        """ETag of the bytes so far; empty if SHA-256 is computed."""
        if self.parts is None:
            return ""
        if self.parts == WHOLE:
            return self._hash.hexdigest()
        digests = self._done + ([self._hash.digest()] if self._room < self.parts else [])
        return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"

    @property
    def digest(self) -> str:
        """Hash of the bytes so far, with its kind: `sha256:…`, `md5:…`, or `etag:…-N` of an object in N parts."""
        if self.parts is None:
            return f"sha256:{self._hash.hexdigest()}"
        return f"{'etag' if self.parts else 'md5'}:{self.etag}"

    def agrees(self, etag: str) -> bool | None:
        """Whether the bytes match an ETag; None if that cannot be decided.

        A differing multipart ETag proves nothing: another tool may have used another part size. Nor is an ETag a
        digest where the bucket encrypts with its own key, so False calls for a second check.
        """
        own = self.etag
        if own and own == etag:
            return True
        return False if own and "-" not in own and parts_of(etag, self.size) == WHOLE else None


def content_of_kind(digest: str, size: int) -> Content:
    """An empty `Content` of the same kind as a digest."""
    kind, _, value = digest.partition(":")
    return Content(None if kind == "sha256" else parts_of(value, size))
