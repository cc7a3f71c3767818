"""Files on a web server, fetched whole: what arrives is complete and a table, or it is an error."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from lensctl import __version__
from lensctl.io import event_loop, workers
from lensctl.io.addresses import address_of, is_web
from lensctl.io.reporter import SILENT, Reporter
from lensctl.io.storage.atomic import whole_file
from lensctl.io.storage.backoff import Pace, retry_after_seconds
from lensctl.io.temporary import temporary_folder
from lensctl.rules.errors import InputError, ServiceError, first_line, without_secrets

if TYPE_CHECKING:
    import aiohttp

Result = TypeVar("Result")

AT_ONCE = 2
"""Concurrent downloads into a folder that keeps them."""
MOST_AT_ONCE = 8
"""Concurrent downloads of one command, whatever the number of cores."""
SILENT_SECONDS = 300.0
"""How long the server may say nothing: it reads whole catalogues before it answers a box of the sky."""
CONNECT_SECONDS = 30.0
LIST_ENDING = ".sha256sum"
LARGEST_LIST = 64 << 20
CHUNK_BYTES = 1 << 20
BOX = ("ralo", "rahi", "declo", "dechi")
REFUSALS = (b"no such layer", b"no ra,dec bbox")
"""How the cutout service refuses, with status 200."""
BEGINNINGS = {".fits": (b"SIMPLE", b"\x1f\x8b"), ".gz": (b"\x1f\x8b",), ".fz": (b"SIMPLE",), ".parquet": (b"PAR1",)}
"""How files begin whose readers notice by themselves if the end is missing."""
PASSING = (408, 425, 429)
NO_HEAD = (405, 501)
"""How a server answers a question that it does not know, or will not have."""

PACE = Pace(time.monotonic, random.random)


class _Passing(Exception):
    """A failure that may pass; `asked` is how many seconds the server asks to wait."""

    def __init__(self, reason: str, status: int | None = None, asked: float = 0.0) -> None:
        super().__init__(reason)
        self.status, self.asked = status, asked


def name_of(url: str) -> str:
    """Name of the file at an address, without secrets; of a box of the sky, `cat_RALO_RAHI_DECLO_DECHI.fits`."""
    parts = urlsplit(without_secrets(url))
    name = unquote(parts.path).rpartition("/")[2]
    box = dict(parse_qsl(parts.query))
    if not all(key in box for key in BOX):
        return name
    stem, dot, ending = name.partition(".")
    return "_".join([stem, *(box[key].replace("/", "") for key in BOX)]) + dot + ending


def sha256_of(url: str) -> str | None:
    """The SHA-256 that an address ends in (`#sha256=...`), as hex digits; None if there is none."""
    found = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", urlsplit(url).fragment)
    return found[1].lower() if found else None


def files_at(url: str) -> list[str]:
    """The files at an address: itself, or those that its list of checksums (`.sha256sum`) names beside it.

    Raises
    ------
    InputError
        A glob or a folder: web servers list nothing. No such file, or not a list.
    ServiceError
    """
    path = urlsplit(url).path
    if "*" in path or "[" in path or path.endswith("/") or not path.strip("/"):
        raise InputError(
            f"{url}: a web server lists no files, so that neither folders nor globs can be read from it",
            f"name each file, or the list of checksums beside them (...{LIST_ENDING})",
        )
    if not path.endswith(LIST_ENDING):
        return [url]
    with temporary_folder("list") as folder:
        lines = fetch(url, folder / "list").read_text(encoding="utf-8", errors="replace").splitlines()
    found = [re.fullmatch(r"([0-9a-fA-F]{64}) [ *](?:\./)?([^/\s]+)", line.strip()) for line in lines if line.strip()]
    if not found or not all(found):
        raise InputError(f"{url}: not a list of SHA-256 checksums", "name one as sha256sum writes it")
    query = urlsplit(url).query
    return [
        f"{urljoin(url, line[2])}{'?' if query else ''}{query}#sha256={line[1].lower()}"
        for line in found
        if line and line[2].endswith((".fits", ".fits.gz", ".fits.fz", ".parquet"))
    ]


def stamp(url: str) -> str:
    """What tells one version of a file from another before it is fetched.

    Its SHA-256 if the address says it, else its size and ETag or date; nothing of a query, which is made on request.
    """
    known = sha256_of(url)
    if known or urlsplit(url).query:
        return known or ""
    return event_loop.run(_ask(url, "HEAD", _stamp_in))


async def _stamp_in(response: aiohttp.ClientResponse) -> str:
    names = () if response.status in NO_HEAD else ("Content-Length", "ETag", "Last-Modified")
    return " ".join(response.headers.get(name, "") for name in names).strip()


def fetch(url: str, file: Path) -> Path:
    """Fetch a file; returns where it is now.

    Raises
    ------
    InputError
        There is no such file, it may not be read, or the service refuses the request.
    ServiceError
        No complete answer, or none that is a table, however often it was asked.
    """
    event_loop.run(_fetch(url, file))
    return file


async def _fetch(url: str, file: Path) -> None:
    wanted, name = sha256_of(url), name_of(url)

    async def keep(response: aiohttp.ClientResponse) -> None:
        digest, length = hashlib.sha256(), 0
        with file.open("wb") as out:
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                if not length:
                    _refuse_other(url, name, chunk, response)
                length += len(chunk)
                if name.endswith(LIST_ENDING) and length > LARGEST_LIST:
                    raise InputError(f"{url}: too large for a list of checksums", "check the address")
                digest.update(chunk)
                out.write(chunk)
        if not length:
            raise _Passing("the answer is empty")
        if wanted and digest.hexdigest() != wanted:
            raise _Passing("what was sent has another SHA-256 than the one given for it")

    await _ask(url, "GET", keep)


def _refuse_other(url: str, name: str, begin: bytes, response: aiohttp.ClientResponse) -> None:
    """Raise if an answer does not begin as a file of its name does, or if its end could not be told."""
    if begin[:64].strip().lower().startswith(REFUSALS):
        raise InputError(f"{url}: the service answers '{begin[:64].decode('ascii').strip()}'", "check the address")
    known = next((starts for ending, starts in BEGINNINGS.items() if name.endswith(ending)), None)
    if begin.lstrip()[:1] == b"<" or (known and not begin.startswith(known)):
        raise _Passing(f"the answer is no such file: it begins '{first_line(begin[:40].decode('latin-1'), 40)}'")
    if (
        known is None
        and response.content_length is None
        and "chunked" not in response.headers.get("Transfer-Encoding", "")
    ):
        raise InputError(f"{url}: the server does not say how long the file is", "download it, and check its size")


async def _ask(url: str, method: str, use: Callable[[aiohttp.ClientResponse], Awaitable[Result]]) -> Result:
    """Send a request, again as long as it fails for a passing reason, and use the answer."""
    import aiohttp

    server = address_of(url, without_secrets(url))
    for number in range(1, PACE.retry.tries + 1):
        try:
            async with (
                aiohttp.ClientSession(
                    headers={"User-Agent": f"lensctl/{__version__}", "Accept-Encoding": "identity", **server.headers},
                    timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS),
                    auto_decompress=False,
                    trust_env=True,  # proxies, and logins in ~/.netrc
                ) as session,
                session.request(method, server.sent(server.base)) as response,
            ):
                _refuse_status(url, response, method)
                return await use(response)
        except _Passing as error:
            failure = error
        except TimeoutError:
            failure = _Passing(f"no answer within {SILENT_SECONDS:g} s")
        except aiohttp.ClientPayloadError:
            failure = _Passing("the answer was cut short")
        except (aiohttp.ClientError, ConnectionError) as error:
            failure = _Passing(first_line(error))
        if number < PACE.retry.tries:
            await PACE.sleep(max(PACE.before_try(number), min(failure.asked, PACE.longest_asked)))
    fix = "rerun the command later; what is done is kept"
    if failure.status == 500 and urlsplit(url).query:
        fix = "leave it out if no brick lies in it, which the service answers by 500 as well; else rerun later"
    raise ServiceError(f"{url}: {failure} ({PACE.retry.tries} tries)", fix)


def _refuse_status(url: str, response: aiohttp.ClientResponse, method: str) -> None:
    status = response.status
    if method == "HEAD" and status in NO_HEAD:
        return
    if status == 200:
        packed = response.headers.get("Content-Encoding", "identity")
        if packed != "identity":
            raise _Passing(f"the answer is compressed ({packed[:20]}), which was not asked for")
        return
    if status >= 500 or status in PASSING:
        asked = retry_after_seconds(response.headers, datetime.now(UTC)) or 0.0
        raise _Passing(f"the server answers {status}", status, asked)
    fix = "give a login in the address or in ~/.netrc" if status in (401, 403) else "check the address"
    raise InputError(f"{url}: the server answers {status}", fix)


@contextmanager
def fetched(url: str) -> Iterator[Path]:
    """A file, fetched for as long as the block lasts."""
    with temporary_folder("web") as folder:
        yield fetch(url, folder / name_of(url))


def processes(paths: Iterable[str], count: int | None) -> int | None:
    """Processes to read files with: as told, else no more than web servers like, if some are there."""
    return count or (min(workers.cores(), MOST_AT_ONCE) if any(map(is_web, paths)) else None)


def kept(paths: Sequence[str], folder: str | Path, report: Reporter = SILENT) -> list[str]:
    """The same files, those on web servers as copies in a folder, at HOST/PATH below it: fetched unless they are there.

    Raises like `fetch`; what has been fetched stays.
    """

    async def one(url: str, free: asyncio.Semaphore) -> str:
        file = _place(url, Path(folder))
        async with free:
            if not file.exists():
                _make_folder(file.parent, folder)
                with whole_file(file, overwrite=True) as part:
                    await _fetch(url, part)
        advance(1)
        return str(file)

    async def each() -> list[str]:
        free = asyncio.Semaphore(AT_ONCE)
        tasks = [asyncio.create_task(one(url, free)) for url in urls]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    urls = [path for path in paths if is_web(path)]
    with report.progress("downloads", len(urls)) as advance:
        there = dict(zip(urls, event_loop.run(each()), strict=True)) if urls else {}
    return [there.get(path, path) for path in paths]


def _make_folder(path: Path, downloads: str | Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{downloads} is, or holds, a file where a folder must be", "name another folder") from error


def _place(url: str, folder: Path) -> Path:
    parts = urlsplit(without_secrets(url))
    above = [part for part in unquote(parts.path).split("/")[:-1] if part not in ("", ".", "..")]
    return folder.joinpath(parts.netloc, *above, name_of(url))
