"""The logs EMR uploads to S3: of a step, or of a failed bootstrap."""

from __future__ import annotations

import gzip
import io
import re
from collections import deque
from dataclasses import dataclass

from lensctl.io.storage import s3
from lensctl.io.unpacking import gunzipping
from lensctl.rules.errors import LensctlError, shortened

PIECE_BYTES, MOST_PIECES = 1 << 20, 64
"""A log is unpacked piece by piece; of a longer one the end is kept, which says how it ended."""
BAD = re.compile(r"\bERROR\b|^error: |\bFATAL\b|^Traceback ")


@dataclass(frozen=True)
class Log:
    """One log: its URL and lines, of very long ones the beginning."""

    url: str
    lines: tuple[str, ...]

    @property
    def bad(self) -> list[str]:
        """Lines that report an error."""
        return [line for line in self.lines if BAD.search(line)]


def of_step(folder: str, step: str) -> list[Log]:
    """Logs of a step; stdout last, where Spark also puts the driver's stderr."""
    return _read(f"{folder}/steps/{step}", ("controller", "stderr", "stdout"))


def of_bootstrap(folder: str) -> list[Log]:
    """Logs of the nodes' bootstrap."""
    return [log for log in _read(f"{folder}/node", ("stdout", "stderr")) if "/bootstrap-actions/" in log.url]


def _read(folder: str, names: tuple[str, ...]) -> list[Log]:
    urls = [url for url in s3.list_objects(folder) if _name(url) in names]
    return [Log(url, _lines(url)) for url in sorted(urls, key=lambda url: (names.index(_name(url)), url))]


def _name(url: str) -> str:
    return url.rsplit("/", 1)[-1].removesuffix(".gz")


def _lines(url: str) -> tuple[str, ...]:
    data = s3.read_object(url)
    try:
        text = _end_of(data) if url.endswith(".gz") else data
    except ValueError as error:
        raise LensctlError(f"{url}: incomplete log ({error})", "EMR may be writing it: try again") from error
    return tuple(map(shortened, text.decode(errors="replace").splitlines()))


def _end_of(packed: bytes) -> bytes:
    with gunzipping(), gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        return b"".join(deque(iter(lambda: file.read(PIECE_BYTES), b""), maxlen=MOST_PIECES))
