"""Cutouts a second from a cutout service on the same two cores, with and without latency, and the memory it takes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lensctl.io.cutouts.store import open_store
from tests.benchmarks.processes import Ran, timed
from tests.toys.viewer_server import answer

SIZE, CONNECTIONS, SKIES = 101, 8, 64
LATENCY_SECONDS = 0.05
MOST_ANSWERS = CONNECTIONS / LATENCY_SECONDS  # what the latency allows
LEAST_SHARE, LEAST_PER_SECOND, MOST_MB = 0.95, 600, 1000
EARLY_SECONDS = 0.002
CARD = 80


def figures() -> Iterator[dict[str, object]]:
    """A short and a long run each: their difference leaves out the start of Python, and says how memory grows."""
    with tempfile.TemporaryDirectory() as name:
        for latency, few, many in ((LATENCY_SECONDS, 160, 3200), (0.0, 1024, 9216)):
            with serving(latency) as url:
                short, long = (fetched(Path(name), url, count) for count in (few, many))
            rate = (many - few) / (long.seconds - short.seconds)
            least = LEAST_SHARE * MOST_ANSWERS if latency else LEAST_PER_SECOND
            yield {
                "latency_ms": round(1000 * latency),
                "connections": CONNECTIONS,
                "cutouts": many,
                "cutouts_per_second": round(rate, 1),
                "limit": least,
                "peak_mb": round(long.peak_mb),
                "peak_limit_mb": MOST_MB,
                "peak_mb_of_the_short_run": round(short.peak_mb),
                "holds": rate >= least and long.peak_mb <= MOST_MB,
            }


def fetched(folder: Path, url: str, count: int) -> Ran:
    """One whole run of the command."""
    number = np.arange(count)
    table = {"galaxy_id": [f"1500p020_{i}" for i in number], "ra": 10 + number / 64, "dec": 2 + (number % 640) / 256}
    pq.write_table(pa.table(table), folder / "t.parquet")
    store = folder / "a.zarr"
    ran = timed([sys.executable, "-m", "lensctl", "cutout", folder / "t.parquet", store, "--url", url, "--overwrite"])
    assert open_store(store).columns("status")["status"].to_pylist() == ["ok"] * count
    return ran


@contextlib.contextmanager
def serving(latency: float) -> Iterator[str]:
    """A service in a process of its own, that costs as little as it can; its base address."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there, latency), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/viewer"
    finally:
        server.terminate()
        server.join()


class Answering(asyncio.Protocol):
    """One connection: each request gets the pixels of some sky, in a header that says the position asked for."""

    def __init__(self, skies: list[bytes], latency: float) -> None:
        self.skies, self.latency, self.asked = skies, latency, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.asked += data
        while b"\r\n\r\n" in self.asked:
            head, self.asked = self.asked.split(b"\r\n\r\n", 1)
            body = at_position(self.skies, head.split(b" ", 2)[1].decode())
            loop = asyncio.get_running_loop()
            due = loop.time() + self.latency
            loop.call_at(due - EARLY_SECONDS, self.answer, due, body)

    def answer(self, due: float, body: list[bytes]) -> None:
        """Answer when it is time and no later: timers are late by up to a millisecond or two."""
        loop = asyncio.get_running_loop()
        if loop.time() < due:
            loop.call_soon(self.answer, due, body)
        else:
            self.transport.writelines(body)


def at_position(skies: list[bytes], path: str) -> list[bytes]:
    """An answer in pieces."""
    query = parse_qs(urlsplit(path).query)
    ra, dec = float(query["ra"][0]), float(query["dec"][0])
    sky = skies[int(64 * ra) % len(skies)]
    cards = bytearray(sky[:2880])
    for key, value in (("CRVAL1", ra), ("CRVAL2", dec)):
        at = cards.index(key.encode().ljust(8) + b"= ")
        cards[at : at + CARD] = f"{key:8}= {value!r:>20}".ljust(CARD).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: image/fits\r\nContent-Length: {len(sky)}\r\n\r\n"
    return [head.encode(), bytes(cards), sky[2880:]]


def serve(say: Connection, latency: float) -> None:
    skies = [answer(10.0, 2.0 + i, SIZE, "grz", "ls-dr10", 0.262) for i in range(SKIES)]

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Answering(skies, latency), "127.0.0.1", 0)
        say.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    for line in figures():
        print(json.dumps(line))
