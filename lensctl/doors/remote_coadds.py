"""Brick coadds on S3 or behind a web server: of a file only the bytes are fetched that the pixels asked for need."""

from __future__ import annotations

import gzip
import io
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from lensctl import __version__
from lensctl.doors import digests, fits_cards, fits_tiles, provenance, s3
from lensctl.doors.bricks import (
    BRICK_TABLES,
    LAYOUTS,
    FitsFile,
    Unanswered,
    file_names,
    read_bricks,
    refuse_other_than_a_plane,
    refuse_short,
)
from lensctl.doors.whole import is_s3
from lensctl.words.errors import InputError, ServiceError

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_BYTES = 64 << 10  # headers and the table of tiles of a coadd, as a rule
LONGEST_HEADER = 4 << 20
GAP_BYTES = 32 << 10  # fetched along rather than asked for apart
BODIES = 3  # times that an answer that breaks off is asked for again


class Remote:
    """Brick coadds below a url, laid out as in a folder; see `Root` for the methods.

    Parameters
    ----------
    url : str
        `s3://bucket/prefix`, or `http://` or `https://` of what holds `coadd/`.
    at_once, timeout, tries
        As for `open_root`; S3 has its own patience.
    """

    def __init__(self, url: str, *, at_once: int = 8, timeout: float = 60.0, tries: int = 6) -> None:
        self.url, self.at_once = url, at_once
        self._objects = Objects(url, timeout, tries)
        self.name = self._objects.name()
        self._base: str | None = None

    def refuse_nothing(self) -> None:
        """Raise InputError where nothing of the kind is there, as far as can be told, ServiceError where no answer."""
        self._objects.refuse_nothing()

    async def folder(self, brick: str) -> str | None:
        """Where a brick's files are, relative to the root; None where they are in none of the usual places."""
        if self._base is None:
            for base in (*LAYOUTS, "."):
                names = [name for band in "grz" for name in file_names(brick, f"image-{band}")]
                for name in names:
                    if await self._objects.has(f"{_below(base, brick)}/{name}"):
                        self._base = base
                        return _below(base, brick)
            return None
        return _below(self._base, brick)

    async def plane(self, folder: str, brick: str, name: str) -> RemoteFile | None:
        """One plane of a brick; None where there is no such file."""
        for file in file_names(brick, name):
            try:
                return await RemoteFile.open(self._objects, f"{folder}/{file}")
            except FileNotFoundError:
                continue
        return None

    def origin(self) -> tuple[provenance.Source, provenance.Chain] | None:
        """The root as an input of a step, where a `provenance.json` in it, or in the folder it is in, says how."""
        for above in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                note = Path(folder) / "provenance.json"
                if self._objects.download(note.name, note, above=above):
                    chain = provenance.from_json(note.read_bytes(), f"{self.url}: {note.name}")
                    name = self._objects.name(above)
                    return provenance.source("root", name, digests.of_file(note), chain), chain
        return None

    def brick_table(self) -> pa.Table | None:
        """The survey's table of bricks, from the root or the folder it is in; None where there is none."""
        for above in (False, True):
            for name in BRICK_TABLES:
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / name
                    if self._objects.download(name, file, above=above):
                        return read_bricks(str(file))
        return None


def _below(base: str, brick: str) -> str:
    return base if base == "." else f"{base}/{brick[:3]}/{brick}"


@dataclass(frozen=True)
class Version:
    """What tells an object from another of its name: bytes, and ETag where the server gives one."""

    size: int
    tag: str | None


class Objects:
    """What is below a url, read through obstore.

    Parameters
    ----------
    url : str
    timeout : float
        Seconds for one answer.
    tries : int
        Requests for one thing at most.
    """

    def __init__(self, url: str, timeout: float, tries: int) -> None:
        from obstore.store import HTTPStore

        self.url = url
        self.ranges = True  # until the server says otherwise
        self._store: Any
        if is_s3(url):
            bucket, key = s3.split_url(url)
            self._store, self._prefix, self._whole = s3.object_store(bucket), key.strip("/"), bucket
        else:
            parts = urlsplit(url)
            if not parts.hostname:
                raise InputError(f"{url}: names no host", "write it as https://host/path")
            client: dict[str, Any] = {"timeout": timedelta(seconds=timeout), "allow_http": True}
            client |= {"connect_timeout": timedelta(seconds=min(timeout, 10.0)), "user_agent": f"lensctl/{__version__}"}
            again: dict[str, Any] = {"max_retries": tries - 1, "retry_timeout": timedelta(seconds=timeout * tries)}
            where = f"{parts.scheme}://{parts.netloc}"
            self._store = HTTPStore.from_url(where, client_options=client, retry_config=again)  # type: ignore[arg-type]
            self._prefix, self._whole = unquote(parts.path).strip("/"), "."

    def name(self, above: bool = False) -> str:
        """Base name of the root, or of the folder it is in: no host and no path."""
        prefix = self._prefix.rpartition("/")[0] if above else self._prefix
        return prefix.rpartition("/")[2] or self._whole

    def refuse_nothing(self) -> None:
        """Raise InputError where there can be no coadds; a web server, which lists nothing, has only to answer."""
        import obstore
        from obstore.exceptions import BaseError, PermissionDeniedError

        try:
            if is_s3(self.url):
                here = obstore.list_with_delimiter(self._store, self._prefix or None)
                names = [*here["common_prefixes"], *(entry["path"] for entry in here["objects"])]
                starts = (*(layout.split("/")[0] for layout in LAYOUTS), "legacysurvey-")
                if not any(name.rstrip("/").rpartition("/")[2].startswith(starts) for name in names):
                    raise InputError(
                        f"{self.url}: holds no coadd/ and no legacysurvey-BRICK-image-*.fits",
                        "give --root .../dr10/south",
                    )
            else:
                obstore.head(self._store, self._key(BRICK_TABLES[0]))
        except (FileNotFoundError, PermissionDeniedError):
            return
        except (BaseError, OSError) as error:
            raise self._service_error(error) from error

    async def has(self, name: str) -> bool:
        """Whether there is an object of this name."""
        import obstore

        try:
            async with _plainly():
                await obstore.head_async(self._store, self._key(name))
        except FileNotFoundError:
            return False
        return True

    def download(self, name: str, file: Path, *, above: bool = False) -> bool:
        """Fetch an object, from the root or the folder it is in; False where there is none."""
        import obstore
        from obstore.exceptions import BaseError, PermissionDeniedError

        if above and not self._prefix:
            return False
        try:
            with file.open("wb") as out:
                for chunk in obstore.get(self._store, self._key(name, above)).stream():
                    out.write(chunk)
        except (FileNotFoundError, PermissionDeniedError):
            return False
        except (BaseError, OSError) as error:
            raise self._service_error(error) from error
        return True

    async def read(self, name: str, start: int, stop: int) -> tuple[bytes, Version]:
        """Some bytes of an object, fewer where it ends before.

        Raises
        ------
        FileNotFoundError
        NoRanges
            The server gives whole objects only.
        Unanswered
        """
        for left in reversed(range(BODIES)):
            answer, version = await self._ask(name, {"range": (start, stop)})
            with suppress(*[] if not left else [Unanswered]):
                async with _plainly():
                    data = bytes(await answer.bytes_async())
                _refuse_short_answer(len(data), min(stop, version.size) - start)
                return data, version
        raise AssertionError

    async def read_whole(self, name: str, handle: int) -> Version:
        """Write an object to an open file, from its beginning; else as `read`."""
        for left in reversed(range(BODIES)):
            answer, version = await self._ask(name, None)
            with suppress(*[] if not left else [Unanswered]):
                at = 0
                async with _plainly():
                    async for chunk in answer.stream():
                        at += os.pwrite(handle, chunk, at)
                _refuse_short_answer(at, version.size)
                return version
        raise AssertionError

    async def _ask(self, name: str, options: Any) -> tuple[Any, Version]:
        import obstore

        async with _plainly():
            answer = await obstore.get_async(self._store, self._key(name), options=options)
            return answer, Version(answer.meta["size"], answer.meta["e_tag"])

    def _key(self, name: str, above: bool = False) -> str:
        prefix = self._prefix.rpartition("/")[0] if above else self._prefix
        return "/".join(part for part in (prefix, name.removeprefix("./")) if part)

    def _service_error(self, error: Exception) -> Exception:
        if is_s3(self.url):
            return s3.unreachable(self.url, error)
        return ServiceError(f"{self.url}: {_unanswered(error)}", "is it the right address, and is the server up?")


class NoRanges(Exception):
    """A server answers with whole objects, whatever range it is asked for."""


def _refuse_short_answer(there: int, promised: int) -> None:
    if there != promised:
        raise Unanswered("http_error", f"the server gives {there} bytes of {promised}")


@asynccontextmanager
async def _plainly() -> AsyncIterator[None]:
    """Turn what obstore raises into what is to be done about it."""
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
    """What became of a request, in words without address and time."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    text = str(error)
    found = re.search(r"\b([45]\d\d) [A-Z][a-z]", text)
    code = int(found[1]) if found else None
    if isinstance(error, PermissionDeniedError):
        code = 403
    if isinstance(error, UnauthenticatedError):
        code = 401
    if code:
        return Unanswered("http_error", f"the server answers {code}", code)
    if re.search("timed ?out", text, re.IGNORECASE):
        return Unanswered("timeout", "no answer in time")
    return Unanswered("http_error", "the connection failed or broke off")


class RemoteFile(FitsFile):
    """A local copy of a FITS file elsewhere, of the same length but with holes, filled in as its tiles are needed.

    fitsio reads it as any file, so that the pixels are the same. The copy has no name: nothing is left of it, however
    the process ends.
    """

    def __init__(self, objects: Objects, name: str) -> None:
        self._objects, self._name = objects, name
        self._copy = tempfile.TemporaryFile(prefix="lensctl-")  # noqa: SIM115
        self.path = Path(f"/dev/fd/{self._copy.fileno()}")
        self._hdus = self._handle = self._tiles = None
        self._tried = name.endswith(".gz")
        self._version: Version | None = None
        self._spans: fits_tiles.Spans | None = None
        self._is_whole = False

    @classmethod
    async def open(cls, objects: Objects, name: str) -> RemoteFile:
        """Fetch the headers, and where the tiles are.

        Raises FileNotFoundError, ValueError where it is no whole image, Unanswered.
        """
        file = cls(objects, name)
        try:
            await file._begin()
        except BaseException:
            file.close()
            raise
        return file

    async def fetch(self, tiles: fits_tiles.Mask | None) -> None:
        """Have some of the image's pieces at hand, or all of them."""
        if self._is_whole:
            return
        super().close()  # what it has buffered may be of a hole
        if tiles is None:
            await self._fetch_all()
            return
        for start, stop in fits_tiles.joined(fits_tiles.needed(self.image, self._spans, tiles), GAP_BYTES):
            await self._fill(start, stop)

    def close(self) -> None:
        """Let go of the copy."""
        super().close()
        self._copy.close()

    async def _begin(self) -> None:
        if not self._objects.ranges or self._name.endswith(".gz"):
            await self._fetch_all()
            return
        try:
            begin, self._version = await self._objects.read(self._name, 0, FIRST_BYTES)
        except NoRanges:
            self._objects.ranges = False
            await self._fetch_all()
            return
        except Unanswered as error:
            if error.http_status == 416:
                raise ValueError("the file is empty") from error
            raise
        if not begin.startswith(fits_cards.MAGIC):
            raise ValueError("not FITS" if begin else "the file is empty")
        size, length = self._version.size, len(begin)
        os.ftruncate(self._copy.fileno(), size)
        os.pwrite(self._copy.fileno(), begin, 0)
        while True:
            try:
                self.image = fits_cards.find_image(io.BytesIO(os.pread(self._copy.fileno(), length, 0)))
                break
            except ValueError:
                if length == size or length >= LONGEST_HEADER:
                    raise
                await self._fill(length, min(2 * length, size))
                length = min(2 * length, size)
        refuse_other_than_a_plane(self.image)
        refuse_short(self.image, size)
        table = fits_tiles.table_bytes(self.image)
        if self.image.data_start + table > length:
            await self._fill(length, self.image.data_start + table)
        if table:
            rows = os.pread(self._copy.fileno(), table, self.image.data_start)
            self._spans = fits_tiles.tile_spans(self.image, rows)

    async def _fill(self, start: int, stop: int) -> None:
        data, version = await self._objects.read(self._name, start, stop)
        self._refuse_another(version)
        os.pwrite(self._copy.fileno(), data, start)

    async def _fetch_all(self) -> None:
        self._refuse_another(await self._objects.read_whole(self._name, self._copy.fileno()))
        self._is_whole = True
        if self._name.endswith(".gz"):
            with gzip.open(self.path, "rb") as file:
                self.image = fits_cards.find_image(file)  # type: ignore[arg-type]
        else:
            with self.path.open("rb") as file:
                self.image = fits_cards.find_image(file)
            refuse_short(self.image, os.fstat(self._copy.fileno()).st_size)
        refuse_other_than_a_plane(self.image)

    def _refuse_another(self, version: Version) -> None:
        self._version = self._version or version
        if version != self._version:
            raise OSError("it was written while it was read")
