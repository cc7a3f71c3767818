"""Objects under a URL, on S3 or a web server, read through obstore, in full or by byte ranges."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lensctl import __version__
from lensctl.io.addresses import address_of
from lensctl.io.imaging.source import Unanswered
from lensctl.io.storage import s3
from lensctl.io.storage.retry import RetryPolicy
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.errors import InputError, ServiceError

LARGEST_BYTES = 8 << 30
"""Of an object: more than any coadd."""


@dataclass(frozen=True)
class Version:
    """Version of an object: size in bytes, and ETag if the server provides one."""

    size: int
    tag: str | None


class Objects:
    """Objects under a URL.

    Parameters
    ----------
    url : str
    timeout : float
        Seconds per response.
    tries : int
        Maximum requests per object.
    """

    def __init__(self, url: str, timeout: float, tries: int) -> None:
        from obstore.store import HTTPStore

        self.url, self._tries = url, tries
        self.ranges = True  # until the server turns out not to support them
        self._store: Any
        if is_s3(url):
            bucket, key = s3.split_url(url)
            self._store, self._prefix, self._whole = s3.object_store(bucket), key.strip("/"), bucket
        else:
            server = address_of(url, "--root")
            client: dict[str, Any] = {"timeout": timedelta(seconds=timeout), "allow_http": True}
            client |= {"connect_timeout": timedelta(seconds=min(timeout, 10.0)), "user_agent": f"lensctl/{__version__}"}
            retry = RetryPolicy(tries).for_obstore(timeout)
            client |= {"default_headers": dict(server.headers)} if server.headers else {}
            parts = urlsplit(server.base)
            host = server.sent(f"{parts.scheme}://{parts.netloc}/")
            self._store = HTTPStore.from_url(host, client_options=client, retry_config=retry)  # type: ignore[arg-type]
            self._prefix, self._whole = unquote(parts.path).strip("/"), "."

    def name(self, above: bool = False) -> str:
        """Base name of the root, or of its parent folder."""
        prefix = self._prefix.rpartition("/")[0] if above else self._prefix
        return prefix.rpartition("/")[2] or self._whole

    def top(self) -> list[str] | None:
        """Names directly under the URL; None if it cannot be listed, as on a web server, which only has to respond.

        Raises ServiceError if there is no response.
        """
        import obstore
        from obstore.exceptions import BaseError, PermissionDeniedError

        try:
            if not is_s3(self.url):
                obstore.head(self._store, self._prefix or "index.html")
                return None
            here = obstore.list_with_delimiter(self._store, self._prefix or None)
        except (FileNotFoundError, PermissionDeniedError):
            return None
        except (BaseError, OSError) as error:
            raise self._service_error(error) from error
        names = [*here["common_prefixes"], *(entry["path"] for entry in here["objects"])]
        return [name.rstrip("/").rpartition("/")[2] for name in names]

    async def has(self, name: str) -> bool:
        """Whether an object exists."""
        import obstore

        try:
            async with _obstore_errors():
                await obstore.head_async(self._store, self._key(name))
        except FileNotFoundError:
            return False
        return True

    def download(self, name: str, file: Path, most: int, *, above: bool = False) -> bool:
        """Fetch an object of at most `most` bytes from the root or its parent folder; False if there is none."""
        import obstore
        from obstore.exceptions import BaseError, PermissionDeniedError

        if above and not self._prefix:
            return False
        try:
            with file.open("wb") as out:
                for chunk in obstore.get(self._store, self._key(name, above)).stream():
                    out.write(chunk)
                    if out.tell() > most:
                        raise InputError(
                            f"{self.url}: {name} is larger than {most / 1e6:,.0f} MB", "is it the right root?"
                        )
        except (FileNotFoundError, PermissionDeniedError):
            return False
        except (BaseError, OSError) as error:
            raise self._service_error(error) from error
        return True

    async def read(self, name: str, start: int, stop: int) -> tuple[bytes, Version]:
        """A byte range of an object, shorter if the object ends within it.

        Raises
        ------
        FileNotFoundError
        NoRanges
            The server does not support ranges.
        Unanswered
        """
        for left in reversed(range(self._tries)):
            response, version = await self._ask(name, {"range": (start, stop)})
            with suppress(*[] if not left else [Unanswered]):
                async with _obstore_errors():
                    data = bytes(await response.bytes_async())
                _check_length(len(data), min(stop, version.size) - start)
                return data, version
        raise AssertionError

    async def read_whole(self, name: str, handle: int) -> Version:
        """Write a complete object to an open file; raises like `read`."""
        for left in reversed(range(self._tries)):
            response, version = await self._ask(name, None)
            with suppress(*[] if not left else [Unanswered]):
                at = 0
                async with _obstore_errors():
                    async for chunk in response.stream():
                        at += os.pwrite(handle, chunk, at)
                _check_length(at, version.size)
                return version
        raise AssertionError

    async def _ask(self, name: str, options: Any) -> tuple[Any, Version]:
        import obstore

        async with _obstore_errors():
            response = await obstore.get_async(self._store, self._key(name), options=options)
        version = Version(response.meta["size"], response.meta["e_tag"])
        if version.size > LARGEST_BYTES:
            raise ValueError(f"{version.size} bytes are no coadd")
        return response, version

    def _key(self, name: str, above: bool = False) -> str:
        prefix = self._prefix.rpartition("/")[0] if above else self._prefix
        return "/".join(part for part in (prefix, name.removeprefix("./")) if part)

    def _service_error(self, error: Exception) -> Exception:
        if is_s3(self.url):
            return s3.unreachable(self.url, error)
        return ServiceError(f"{self.url}: {_unanswered(error)}", "is it the right address, and is the server up?")


class NoRanges(Exception):
    """The server ignores byte ranges."""


def _check_length(received: int, expected: int) -> None:
    if received != expected:
        raise Unanswered("http_error", f"the server sent {received} of {expected} bytes")


@asynccontextmanager
async def _obstore_errors() -> AsyncIterator[None]:
    """Turn obstore's errors into Unanswered or NoRanges."""
    from obstore.exceptions import BaseError, NotSupportedError

    try:
        yield
    except FileNotFoundError:
        raise
    except NotSupportedError as error:
        raise NoRanges from error
    except (BaseError, OSError) as error:
        raise _unanswered(error) from error


def _unanswered(error: Exception) -> Unanswered:
    """The reason a request failed, without URL and timings."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    text = str(error)
    found = re.search(r"\b([45]\d\d) [A-Z][a-z]", text)
    code = int(found[1]) if found else None
    if isinstance(error, PermissionDeniedError):
        code = 403
    if isinstance(error, UnauthenticatedError):
        code = 401
    if code:
        return Unanswered("http_error", f"the server returned {code}", code)
    if re.search("timed ?out", text, re.IGNORECASE):
        return Unanswered("timeout", "timed out")
    return Unanswered("http_error", "the connection failed")
