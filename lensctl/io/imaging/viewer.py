"""Cutouts from the Legacy Survey's cutout service, politely, until every one is proved or its failure named."""

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
from lensctl.io.cutouts.writer import ShardWriter
from lensctl.io.imaging.backoff import CircuitBreaker, Pace
from lensctl.io.imaging.source import BEFORE, Advance, Cuts, Task, complete
from lensctl.io.imaging.viewer_response import MANY, Answer, Asked, asked_to_wait, judge, shown_layer
from lensctl.rules import quality
from lensctl.rules.errors import InputError, ServiceError, first_line

if TYPE_CHECKING:
    import aiohttp
    import pyarrow as pa
    from tenacity import RetryCallState

OPEN_SHARDS = 2
MORE_AT_WORK = 4  # beyond the connections: what judges an answer, or waits to ask again, keeps no connection idle
TURN_SECONDS = 0.0005  # the thread that measures and writes a shard keeps no answer waiting for longer
DOUBTFUL = 50  # rows without a single cutout, from the first on, before the request itself is doubted
COLUMNS = (
    "status",
    "release",
    "layer",
    "pixel_scale_arcsec",
    "url_or_brick",
    "offset_x_px",
    "offset_y_px",
    "http_status",
    "attempts",
    "seconds",
    "downloaded_at",
    "error",
)


@dataclass(frozen=True)
class ViewerSource:
    """The cutout service as a source.

    Parameters
    ----------
    asked : Asked
        What every request says.
    pace : Pace
    now : callable
        The time of day, in UTC.
    connections : int
        Requests at once.
    timeout : float
        Seconds for one answer.
    """

    asked: Asked
    pace: Pace
    now: Callable[[], datetime]
    connections: int = 8
    timeout: float = 60.0
    name: str = "viewer"

    def prepare(self, table: pa.Table) -> pa.Table:
        """The table as it is; InputError where the service cannot be asked for such cutouts."""
        if not self.asked.url.startswith(("http://", "https://")):
            raise InputError(f"{self.asked.url}: no http address", "give --url https://…/viewer")
        return table

    def order(self, shards: list[int]) -> list[int]:
        """As they are: rows are asked for in the order of the table."""
        return shards

    def make(self, tasks: Iterator[Task], writer: ShardWriter, advance: Advance) -> None:
        """Fetch the rows of every task and write its shard.

        Raises
        ------
        ServiceError
            The service is down, and stayed so; what is done is kept.
        InputError
            The service has no such layer.
        """
        usual = sys.getswitchinterval()
        sys.setswitchinterval(TURN_SECONDS)
        try:
            asyncio.run(_Fetching(self, writer, advance).run(tasks))
        finally:
            sys.setswitchinterval(usual)


@dataclass
class _Shard:
    """A shard on its way: its rows as they come."""

    task: Task
    ra: list[float]
    dec: list[float]
    images: NDArray[np.float32]
    columns: dict[str, list[Any]]
    left: int


@dataclass(frozen=True)
class Response:
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Fetching:
    """One run: rows in the order of the table, as many at once as there are connections."""

    def __init__(self, source: ViewerSource, writer: ShardWriter, advance: Advance) -> None:
        self.source, self.writer, self.advance = source, writer, advance
        self.gate = CircuitBreaker(source.pace, max(4, 2 * source.connections), self._probe)
        self.good: tuple[float, float] | None = None  # a position that the service has shown
        self.latest = (0.0, 0.0)
        self.in_vain = 0
        self.room = asyncio.Semaphore(OPEN_SHARDS)
        self.free = asyncio.Semaphore(source.connections)
        self.writing: set[asyncio.Future[None]] = set()

    async def run(self, tasks: Iterator[Task]) -> None:
        """Fetch everything; the first failure stops all."""
        import aiohttp

        rows, turn = self._rows(tasks), asyncio.Lock()
        with ThreadPoolExecutor(1) as self.writers:
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.source.connections),
                timeout=aiohttp.ClientTimeout(total=self.source.timeout),
                headers={"User-Agent": f"lensctl/{__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=self.source.asked.usual,  # a whole cutout at once
            ) as self.session:
                count = self.source.connections + MORE_AT_WORK
                at_work = [asyncio.create_task(self._work(rows, turn)) for _ in range(count)]
                try:
                    await asyncio.gather(*at_work)
                    await asyncio.gather(*self.writing)
                finally:
                    for task in (*at_work, *self.gate.tasks()):
                        task.cancel()
                    await asyncio.gather(*at_work, return_exceptions=True)

    async def _rows(self, tasks: Iterator[Task]) -> AsyncIterator[tuple[_Shard, int]]:
        size, bands = self.source.asked.size, self.source.asked.bands
        for task in tasks:
            await self.room.acquire()
            count = task.rows.num_rows
            ra, dec = (task.rows[name].to_pylist() for name in ("ra", "dec"))
            images = np.empty((count, size, size, len(bands)), np.float32)
            shard = _Shard(task, ra, dec, images, {name: [None] * count for name in COLUMNS}, count)
            for row in range(count):
                yield shard, row

    async def _work(self, rows: AsyncIterator[tuple[_Shard, int]], turn: asyncio.Lock) -> None:
        while True:
            async with turn:
                place = await anext(rows, None)
            for future in [future for future in self.writing if future.done()]:
                self.writing.discard(future)
                future.result()  # the disk is full, perhaps
            if place is None:
                return
            shard, row = place
            await self._fill(shard, row)
            shard.left -= 1
            if not shard.left:
                self._write(shard)

    def _write(self, shard: _Shard) -> None:
        """Write a full shard in a thread of its own, while others are fetched."""
        start, stop = self.writer.layout.span(shard.task.shard)
        rest = stop - start - shard.task.rows.num_rows

        def write() -> None:
            complete(shard.task, Cuts(shard.images, shard.columns), self.source.name, self.writer)

        def written(done: asyncio.Future[None]) -> None:
            self.room.release()
            self.advance(Counter({BEFORE: rest}))

        future = asyncio.get_running_loop().run_in_executor(self.writers, write)
        self.writing.add(future)
        future.add_done_callback(written)

    async def _fill(self, shard: _Shard, row: int) -> None:
        """Fetch one cutout, and note everything about it."""
        ra, dec = shard.ra[row], shard.dec[row]
        started = self.source.pace.clock()
        answer, attempts = await self._fetch(ra, dec)
        shard.images[row] = np.nan if answer.image is None else answer.image
        asked = self.source.asked
        values = {
            "status": answer.status,
            "release": answer.release,
            "layer": shown_layer(asked.layer, ra, dec),
            "pixel_scale_arcsec": asked.pixscale,
            "url_or_brick": asked.address(ra, dec),
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
        """The final answer for one position, and the number of requests it took."""
        from tenacity import AsyncRetrying, retry_if_result

        pace = self.source.pace
        started = pace.clock()
        alike: Counter[tuple[str | None, int]] = Counter()

        async def attempt() -> Answer:
            async with self.free:
                await self.gate.enter()
                response = await self._request(ra, dec)
            await asyncio.sleep(0)  # whoever waited for the connection asks first
            answer = self._heard(ra, dec, response)
            alike[answer.status, answer.tries] += 1
            return answer

        def last(state: RetryCallState) -> bool:
            answer = _answer(state)
            return alike.total() >= pace.retry.tries or alike[answer.status, answer.tries] >= answer.tries

        retrying = AsyncRetrying(
            sleep=pace.sleep,
            stop=last,
            wait=lambda state: pace.before_try(state.attempt_number),
            retry=retry_if_result(lambda answer: answer.status is not None),
            retry_error_callback=_answer,
        )
        answer: Answer = await retrying(attempt)
        if answer.status is not None:
            answer = await self._settled(answer, started)
        return answer, alike.total()

    async def _settled(self, answer: Answer, started: float) -> Answer:
        """A failure that lasted: what it is called, unless it says that the request or the service is wrong."""
        if self.good is None:
            if answer.no_layer:
                raise InputError(f"{answer.error} ({self.source.asked.url})", "see --layer and --url")
            self.in_vain += 1
            if self.in_vain >= DOUBTFUL:
                raise ServiceError(
                    f"none of the first {self.in_vain} answers of {self.source.asked.url} is a cutout "
                    f"(last: {answer.status}, {answer.error})",
                    "see --url and --layer, and whether the table lies in the layer's footprint",
                )
        return await self._outside(answer, started) if answer.maybe_outside else answer

    async def _outside(self, answer: Answer, started: float) -> Answer:
        """Whether a server error means that no brick is there, or that the server is broken.

        It does where the service answered others meanwhile, or answers again for a position it has shown before.
        """
        if self.good is None:
            return answer
        if self.gate.last_answer is not None and self.gate.last_answer >= started:
            return answer
        if (await self._ask(*self.good)).image is not None:
            return answer
        self.gate.failed(f"{answer.error} for positions it has shown")
        return dataclasses.replace(answer, status="http_error", error=f"{answer.error}, and so for other positions")

    async def _probe(self) -> bool:
        if self.good is None:
            return (await self._ask(*self.latest)).alive
        return (await self._ask(*self.good)).image is not None

    async def _ask(self, ra: float, dec: float) -> Answer:
        """One request beside those of the rows, judged."""
        return self._heard(ra, dec, await self._request(ra, dec))

    def _heard(self, ra: float, dec: float, response: Response | Answer) -> Answer:
        """What a response is worth; it tells the gate whether the service did its part."""
        asked = self.source.asked
        answer = response if isinstance(response, Answer) else judge(asked, ra, dec, response.status, response.body)
        if isinstance(response, Response) and answer.status is not None and not answer.alive:
            answer = dataclasses.replace(answer, wait=asked_to_wait(response.headers, self.source.now()))
        if answer.wait is not None:
            self.gate.hold(answer.wait)
        if answer.image is not None:
            self.good = self.good or (ra, dec)
            self.gate.answered()
        elif not answer.alive or (answer.status == "http_error" and self.good is not None):
            self.gate.failed(answer.error or "")
        return answer

    async def _request(self, ra: float, dec: float) -> Response | Answer:
        """What the service says, or why it says nothing."""
        import aiohttp

        asked = self.source.asked
        self.latest = (ra, dec)
        try:
            async with self.session.get(asked.address(ra, dec)) as response:
                return Response(response.status, response.headers, await _body(response, asked.longest))
        except TimeoutError:
            reason = f"no answer within {self.source.timeout:g} s"
            return Answer("timeout", error=reason, tries=MANY, alive=False)
        except aiohttp.ClientPayloadError:
            return Answer("bad_file", error="cut short", http_status=200, tries=MANY, alive=False)
        except (aiohttp.ClientError, ConnectionError) as error:
            return Answer("http_error", error=first_line(error), tries=MANY, alive=False)


async def _body(response: aiohttp.ClientResponse, longest: int) -> bytes:
    """The whole body, unless it is longer than any cutout: then as much as says so."""
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
