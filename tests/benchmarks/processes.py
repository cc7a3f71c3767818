"""Whole processes, timed, with the most memory they held; and the bytes that a server answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """Wall seconds and peak resident megabytes of one process."""

    seconds: float
    peak_mb: float


def timed(command: Sequence[str], env: dict[str, str] | None = None) -> Ran:
    """Run a command to its end; a RuntimeError with its last words where it fails."""
    started = time.perf_counter()
    with subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {said.decode(errors='replace')[-2000:]}")
    return Ran(time.perf_counter() - started, usage.ru_maxrss / 1024)


def most_held(command: Sequence[str]) -> float:
    """Run a command to its end: the most megabytes that it and its descendants held at one time, shared ones once."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = [0.0]
    watching = threading.Thread(target=_watch, args=(process.pid, peak))
    watching.start()
    failed = process.wait()
    watching.join()
    if failed:
        raise RuntimeError(f"{command[0]} ended with {failed}")
    return peak[0]


def _watch(pid: int, peak: list[float]) -> None:
    """Keep the greatest sum of the proportional set sizes of a process and its descendants, in MB."""
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z":
        peak[0] = max(peak[0], sum(map(_held, _tree(pid))))
        time.sleep(0.1)


def _tree(pid: int) -> list[int]:
    found = [pid]
    for at in found:
        try:
            tasks = [(task / "children").read_text().split() for task in Path(f"/proc/{at}/task").iterdir()]
        except OSError:
            continue
        found += [int(child) for children in tasks for child in children]
    return found


def _held(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@contextlib.contextmanager
def counted(host: str, port: int) -> Iterator[tuple[int, list[int]]]:
    """Stand before a server, on a port of one's own, and count the bytes it answers.

    Yields the port, and a list whose one number grows.
    """
    answered = [0]

    async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter, count: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(1 << 18):
                answered[0] += len(data) if count else 0
                to.write(data)
                await to.drain()
        with contextlib.suppress(ConnectionError, RuntimeError):
            to.close()

    async def meet(ask: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(host, port)
        await asyncio.gather(carry(ask, forth, False), carry(back, answer, True))

    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(meet, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield listening.sockets[0].getsockname()[1], answered
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listening.close()
