"""Worker processes: one task each at a time, results as completed, and no process left behind."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from lensctl.io import temporary
from lensctl.rules.errors import InputError, LensctlError, first_line

Task = TypeVar("Task")
Result = TypeVar("Result")

FROM_TERMINAL = {signal.SIGINT, signal.SIGHUP}
"""Signals that a terminal sends to a command and its workers alike."""


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int | None = None) -> Iterator[Result]:
    """Results of a function over tasks, in order of completion.

    Parameters
    ----------
    function : callable
        Defined at module level (or a `functools.partial` of one), so that it can be pickled.
    tasks : iterable
        Consumed lazily.
    workers : int, optional
        Processes; one per core if not given. A single worker or task runs in this process.

    Raises
    ------
    InputError
        Several processes are not possible here.
    LensctlError
        A worker process died.
    """
    waiting = iter(tasks)
    first = list(itertools.islice(waiting, 2))
    workers = workers or cores()
    if workers == 1 or len(first) < 2:
        yield from map(function, itertools.chain(first, waiting))
        return
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with _held_back():
        try:
            executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
        except (OSError, NotImplementedError) as error:
            raise InputError(
                f"this machine has no semaphores for several processes ({first_line(error)})", "add --workers 1"
            ) from error
    pending: set[Future[Result]] = set()
    try:
        for task in itertools.chain(first, waiting):
            with _held_back():
                pending.add(executor.submit(function, task))
            if len(pending) > workers:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        executor.shutdown()
    except BrokenProcessPool as error:
        raise LensctlError(
            "a worker process died, perhaps for lack of memory", "rerun the command with fewer --workers"
        ) from error
    finally:
        for future in pending:
            future.cancel()
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        executor.shutdown(cancel_futures=True)
        temporary.remove_abandoned()  # those of the workers just terminated


@contextmanager
def _held_back() -> Iterator[None]:
    """Hold signals back, so that a process started now, which inherits this, is deaf to them until `_begin`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """In a new worker: leave signals from the terminal to the parent, and exit when it is gone."""
    for number in FROM_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FROM_TERMINAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
