"""What was read, told from its bytes as they go by: size, SHA-256, and the ETag that S3 would give them."""

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
    """Sums up bytes that pass.

    Parameters
    ----------
    parts : int, optional
        Bytes in each part, for the ETag; WHOLE for an object in one piece. None takes no MD5.

    Attributes
    ----------
    size : int
        Bytes so far.
    """

    def __init__(self, parts: int | None = None) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._part_bytes = parts
        self._part = hashlib.md5(usedforsecurity=False)
        self._parts: list[bytes] = []
        self._room = parts or 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Take in the next bytes."""
        self.size += len(chunk)
        self._sha256.update(chunk)
        if self._part_bytes == WHOLE:
            self._part.update(chunk)
        elif self._part_bytes is not None:
            view = memoryview(chunk)
            while len(view):
                head, view = view[: self._room], view[self._room :]
                self._part.update(head)
                self._room -= len(head)
                if not self._room:
                    self._parts.append(self._part.digest())
                    self._part = hashlib.md5(usedforsecurity=False)
                    self._room = self._part_bytes

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far, in hex."""
        return self._sha256.hexdigest()

    @property
    def etag(self) -> str:
        """ETag of the bytes so far; empty where no MD5 was asked for."""
        if self._part_bytes is None:
            return ""
        if self._part_bytes == WHOLE:
            return self._part.hexdigest()
        digests = self._parts + ([self._part.digest()] if self._room < self._part_bytes else [])
        return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"

    def agrees(self, etag: str) -> bool | None:
        """Whether these are the bytes of an ETag; None where it cannot tell.

        An ETag of parts that differs proves nothing: another tool may have cut the parts elsewhere. Nor is an ETag a
        digest in a bucket that encrypts with a key of its own, so False asks for a second look.
        """
        own = self.etag
        if own and own == etag:
            return True
        return False if own and "-" not in own and parts_of(etag, self.size) == WHOLE else None


def of(chunks: Iterable[bytes], parts: int | None = None) -> Content:
    """The sum of some chunks."""
    content = Content(parts)
    for chunk in chunks:
        content.update(chunk)
    return content
