"""What was read, told from its bytes as they go by: their size, and SHA-256 or the ETag that S3 would give them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

MIB = 1 << 20
PART_BYTES = 8 * MIB
MOST_PARTS = 10_000
_KNOWN_PARTS = tuple(mib * MIB for mib in (8, 5, 16, 32, 64, 10, 15, 20, 25, 50, 100, 128, 256, 512))
_ETAG = re.compile(r"[0-9a-f]{32}(?:-(\d+))?")
WHOLE = 0
"""Said of an object that goes to S3 in one piece: its ETag is the MD5 of it all."""


def parts_for(size: int) -> int:
    """Bytes in each part of an object of this size when it goes to S3 (10,000 parts are the most); WHOLE if small."""
    if size <= PART_BYTES:
        return WHOLE
    return max(PART_BYTES, -(-size // (MOST_PARTS * MIB)) * MIB)


def parts_of(etag: str, size: int) -> int | None:
    """Bytes in each part of the object of this ETag, as other tools choose them; None where it tells nothing."""
    found = _ETAG.fullmatch(etag)
    if not found:
        return None
    if found[1] is None:
        return WHOLE
    return next((n for n in (parts_for(size), *_KNOWN_PARTS) if n and -(-size // n) == int(found[1])), None)


class Content:
    """Sums up bytes that pass, once: the MD5 of an ETag takes longer than all else that is done to them.

    Parameters
    ----------
    parts : int, optional
        Bytes in each part, for the ETag; WHOLE for an object in one piece. None takes the SHA-256 instead.

    Attributes
    ----------
    size : int
        Bytes so far.
    parts : int or None
        As given.
    """

    def __init__(self, parts: int | None = None) -> None:
        self.size, self.parts = 0, parts
        self._sum = hashlib.sha256() if parts is None else hashlib.md5(usedforsecurity=False)
        self._done: list[bytes] = []
        self._room = parts or 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Take in the next bytes."""
        self.size += len(chunk)
        if not self.parts:
            self._sum.update(chunk)
            return
        view = memoryview(chunk)
        while len(view):
            head, view = view[: self._room], view[self._room :]
            self._sum.update(head)
            self._room -= len(head)
            if not self._room:
                self._done.append(self._sum.digest())
                self._sum = hashlib.md5(usedforsecurity=False)
                self._room = self.parts

    @property
    def etag(self) -> str:
        """ETag of the bytes so far; empty where SHA-256 was asked for."""
        if self.parts is None:
            return ""
        if self.parts == WHOLE:
            return self._sum.hexdigest()
        digests = self._done + ([self._sum.digest()] if self._room < self.parts else [])
        return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"

    @property
    def digest(self) -> str:
        """The sum of the bytes so far and what it is: `sha256:…`, `md5:…`, or `etag:…-N` of an object in N parts."""
        if self.parts is None:
            return f"sha256:{self._sum.hexdigest()}"
        return f"{'etag' if self.parts else 'md5'}:{self.etag}"

    def agrees(self, etag: str) -> bool | None:
        """Whether these are the bytes of an ETag; None where it cannot tell.

        An ETag of parts that differs proves nothing: another tool may have cut the parts elsewhere. Nor is an ETag a
        digest in a bucket that encrypts with a key of its own, so False asks for a second look.
        """
        own = self.etag
        if own and own == etag:
            return True
        return False if own and "-" not in own and parts_of(etag, self.size) == WHOLE else None


def content_of(chunks: Iterable[bytes], parts: int | None = None) -> Content:
    """The sum of some chunks."""
    content = Content(parts)
    for chunk in chunks:
        content.update(chunk)
    return content


def content_of_kind(digest: str, size: int) -> Content:
    """Sums up bytes as those of a digest were."""
    kind, _, value = digest.partition(":")
    return Content(None if kind == "sha256" else parts_of(value, size))
