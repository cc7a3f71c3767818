"""Cutouts from the Legacy Surveys cutout service, with rate limits, retries and validation of every response."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lensctl import __version__
from lensctl.io import event_loop
from lensctl.io.cutouts.writer import ShardWriter
from lensctl.io.imaging.source import BEFORE, CUT_COLUMNS, Advance, Cuts, NothingAnswered, Task, complete
from lensctl.io.imaging.viewer_response import MANY, Answer, CutoutRequest, judge, shown_layer
from lensctl.io.storage.backoff import CircuitBreaker, Pace, retry_after_seconds
from lensctl.rules import quality
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.errors import InputError, ServiceError, first_line
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import aiohttp
    import pyarrow as pa
    from tenacity import RetryCallState

OURS = {"User-Agent": f"lensctl/{__version__}", "Accept-Encoding": "identity"}
OPEN_SHARDS = 2
EXTRA_WORKERS = 4  # beyond the connections, so that validation and backoff leave no connection idle
SWITCH_SECONDS = 0.0005  # so that the thread that measures and writes a shard does not delay responses
DOUBTFUL = 50  # initial rows without a single cutout before the request itself is taken to be wrong


@dataclass(frozen=True)
class ViewerSource:
    """The cutout service as a source.

    Parameters
    ----------
    request : CutoutRequest
        Parameters of every request.
    pace : Pace
    now : callable
        Current UTC time.
    connections : int
        Concurrent requests.
    timeout, max_empty : float
        Seconds per response; see `quality.measure`.
    """

    request: CutoutRequest
    pace: Pace
    now: Callable[[], datetime]
    connections: int = 8
    timeout: float = 60.0
    max_empty: float = MAX_EMPTY
    name: str = "viewer"

    @property
    def survey(self) -> Survey:
        """The survey whose bands it asks for."""
        return self.request.survey

    def prepare(self, table: pa.Table) -> pa.Table:
        """The table unchanged."""
        return table

    def order(self, shards: list[int]) -> list[int]:
        """Unchanged: rows are fetched in table order."""
        return shards

    def make(self, tasks: Iterator[Task], writer: ShardWriter, advance: Advance) -> None:
        """Fetch the rows of every task and write its shard.

        Raises
        ------
        ServiceError
            The service stays down; finished shards are kept. NothingAnswered if it answered no request.
        InputError
            The service has no such layer.
        """
        default = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            event_loop.run(_Fetching(self, writer, advance).run(tasks))
        finally:
            sys.setswitchinterval(default)


@dataclass
class _Shard:
    """A shard in progress, with its rows so far."""

    task: Task
    ra: list[float]
    dec: list[float]
    images: NDArray[np.float32]
    columns: dict[str, list[Any]]
    left: int


@dataclass(frozen=True)
class Response:
    """A complete HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Fetching:
    """One run: fetches rows in table order, one per connection."""

    def __init__(self, source: ViewerSource, writer: ShardWriter, advance: Advance) -> None:
        self.source, self.writer, self.advance = source, writer, advance
        self.gate = CircuitBreaker(source.pace, max(4, 2 * source.connections), self._probe)
        self.good: tuple[float, float] | None = None  # a position that returned a cutout
        self.latest = (0.0, 0.0)
        self.answered: bool | None = None  # None before the first request
        self.failures_at_start = 0
        self.room = asyncio.Semaphore(OPEN_SHARDS)
        self.free = asyncio.Semaphore(source.connections)
        self.writing: set[asyncio.Future[None]] = set()

    async def run(self, tasks: Iterator[Task]) -> None:
        """Fetch everything; the first exception stops all."""
        import aiohttp

        rows, turn = self._rows(tasks), asyncio.Lock()
        with ThreadPoolExecutor(1) as self.writers:
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.source.connections),
                timeout=aiohttp.ClientTimeout(total=self.source.timeout),
                headers={**OURS, **self.source.request.server.headers},
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=self.source.request.usual,  # a cutout in one read
            ) as self.session:
                count = self.source.connections + EXTRA_WORKERS
                workers = [asyncio.create_task(self._work(rows, turn)) for _ in range(count)]
                try:
                    await asyncio.gather(*workers)
                    await asyncio.gather(*self.writing)
                    if self.answered is False:
                        raise NothingAnswered(f"{self.source.request.url} answered no request", "check --url")
                finally:
                    for task in (*workers, *self.gate.tasks()):
                        task.cancel()
                    await asyncio.gather(*workers, return_exceptions=True)

    async def _rows(self, tasks: Iterator[Task]) -> AsyncIterator[tuple[_Shard, int]]:
        size, bands = self.source.request.size, self.source.survey.bands
        for task in tasks:
            await self.room.acquire()
            count = task.rows.num_rows
            ra, dec = (task.rows[name].to_pylist() for name in ("ra", "dec"))
            images = np.empty((count, size, size, len(bands)), np.float32)
            shard = _Shard(task, ra, dec, images, {name: [None] * count for name in CUT_COLUMNS}, count)
            for row in range(count):
                yield shard, row

    async def _work(self, rows: AsyncIterator[tuple[_Shard, int]], turn: asyncio.Lock) -> None:
        while True:
            async with turn:
                place = await anext(rows, None)
            for future in [future for future in self.writing if future.done()]:
                self.writing.discard(future)
                future.result()  # raises, for example, if the disk is full
            if place is None:
                return
            shard, row = place
            await self._fill(shard, row)
            shard.left -= 1
            if not shard.left:
                self._write(shard)

    def _write(self, shard: _Shard) -> None:
        """Write a finished shard in a separate thread, while others are fetched."""
        start, stop = self.writer.layout.span(shard.task.shard)
        rest = stop - start - shard.task.rows.num_rows

        def write() -> None:
            complete(shard.task, Cuts(shard.images, shard.columns), self.source, self.writer)

        def written(done: asyncio.Future[None]) -> None:
            self.room.release()
            self.advance(Counter({BEFORE: rest}))

        future = asyncio.get_running_loop().run_in_executor(self.writers, write)
        self.writing.add(future)
        future.add_done_callback(written)

    async def _fill(self, shard: _Shard, row: int) -> None:
        """Fetch one cutout, and record its index columns."""
        ra, dec = shard.ra[row], shard.dec[row]
        started = self.source.pace.clock()
        answer, attempts = await self._fetch(ra, dec)
        shard.images[row] = np.nan if answer.image is None else answer.image
        request = self.source.request
        values = {
            "status": answer.status,
            "release": answer.release,
            "layer": shown_layer(request, ra, dec),
            "pixel_scale_arcsec": request.pixscale,
            "url_or_brick": request.address(ra, dec),
            "offset_x_px": 0.0 if answer.image is not None else None,
            "offset_y_px": 0.0 if answer.image is not None else None,
            "http_status": answer.http_status,
            "attempts": attempts,
            "seconds": self.source.pace.clock() - started,
            "downloaded_at": self.source.now().isoformat(timespec="seconds"),
            "error": answer.error,
        }
        for name, value in values.items():
            shard.columns[name][row] = value
        self.advance(Counter([answer.status or quality.OK]))

    async def _fetch(self, ra: float, dec: float) -> tuple[Answer, int]:
        """The final answer for one position, and the number of requests made."""
        from tenacity import AsyncRetrying, retry_if_result

        pace = self.source.pace
        started = pace.clock()
        outcomes: Counter[tuple[str | None, int]] = Counter()

        async def attempt() -> Answer:
            async with self.free:
                await self.gate.enter()
                response = await self._request(ra, dec)
            await asyncio.sleep(0)  # let a task waiting for the connection send its request first
            answer = self._judged(ra, dec, response)
            outcomes[answer.status, answer.tries] += 1
            return answer

        def last(state: RetryCallState) -> bool:
            answer = _answer(state)
            return outcomes.total() >= pace.retry.tries or outcomes[answer.status, answer.tries] >= answer.tries

        retrying = AsyncRetrying(
            sleep=pace.sleep,
            stop=last,
            wait=lambda state: pace.before_try(state.attempt_number),
            retry=retry_if_result(lambda answer: answer.status is not None),
            retry_error_callback=_answer,
        )
        answer: Answer = await retrying(attempt)
        if answer.status is not None:
            answer = await self._final(answer, started)
        return answer, outcomes.total()

    async def _final(self, answer: Answer, started: float) -> Answer:
        """Classify a persistent failure; raises if the request or the service is wrong."""
        if self.good is None:
            if answer.no_layer:
                raise InputError(f"{answer.error} ({self.source.request.url})", "check --layer and --url")
            self.failures_at_start += 1
            if self.failures_at_start >= DOUBTFUL:
                raise ServiceError(
                    f"none of the first {self.failures_at_start} responses of {self.source.request.url} is a cutout "
                    f"(last: {answer.status}, {answer.error})",
                    "check --url and --layer, and that the table lies in the layer's footprint",
                )
        return await self._outside(answer, started) if answer.maybe_outside else answer

    async def _outside(self, answer: Answer, started: float) -> Answer:
        """Decide whether a server error means that there is no brick, or that the server is down.

        There is no brick if other requests succeed meanwhile, or a known good position succeeds again.
        """
        if self.good is None:
            return answer
        if self.gate.last_answer is not None and self.gate.last_answer >= started:
            return answer
        if (await self._ask(*self.good)).image is not None:
            return answer
        self.gate.failed(f"{answer.error} for positions that worked before")
        return dataclasses.replace(answer, status="http_error", error=f"{answer.error}, also for other positions")

    async def _probe(self) -> bool:
        if self.good is None:
            return (await self._ask(*self.latest)).alive
        return (await self._ask(*self.good)).image is not None

    async def _ask(self, ra: float, dec: float) -> Answer:
        """Send and judge one extra request."""
        return self._judged(ra, dec, await self._request(ra, dec))

    def _judged(self, ra: float, dec: float, response: Response | Answer) -> Answer:
        """Judge a response, and report success or failure to the gate."""
        request = self.source.request
        answer = response if isinstance(response, Answer) else judge(request, ra, dec, response.status, response.body)
        if isinstance(response, Response) and answer.status is not None and not answer.alive:
            answer = dataclasses.replace(answer, wait=retry_after_seconds(response.headers, self.source.now()))
        if answer.wait is not None:
            self.gate.hold(answer.wait)
        if answer.image is not None:
            self.good = self.good or (ra, dec)
            self.gate.answered()
        elif not answer.alive or (answer.status == "http_error" and self.good is not None):
            self.gate.failed(answer.error or "")
        return answer

    async def _request(self, ra: float, dec: float) -> Response | Answer:
        """The response, or an Answer that says why there is none."""
        import aiohttp

        request = self.source.request
        self.latest, self.answered = (ra, dec), self.answered or False
        try:
            async with self.session.get(request.server.sent(request.address(ra, dec))) as response:
                self.answered = True
                packed = response.headers.get("Content-Encoding", "identity")
                if packed != "identity":
                    reason = f"compressed ({packed[:20]}), which was not asked for"
                    return Answer("bad_file", error=reason, http_status=response.status, tries=MANY, alive=False)
                return Response(response.status, response.headers, await _body(response, request.longest))
        except TimeoutError:
            reason = f"no response within {self.source.timeout:g} s"
            return Answer("timeout", error=reason, tries=MANY, alive=False)
        except aiohttp.ClientPayloadError:
            return Answer("bad_file", error="truncated", http_status=200, tries=MANY, alive=False)
        except (aiohttp.ClientError, ConnectionError) as error:
            return Answer("http_error", error=first_line(error), tries=MANY, alive=False)


async def _body(response: aiohttp.ClientResponse, longest: int) -> bytes:
    """The complete body, or, if it is longer than any cutout, enough to tell."""
    if response.content_length is not None and response.content_length <= longest:
        return await response.read()
    parts, length = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        parts.append(part)
        length += len(part)
        if length > longest:
            break
    return b"".join(parts)


def _answer(state: RetryCallState) -> Answer:
    assert state.outcome is not None
    answer: Answer = state.outcome.result()
    return answer
