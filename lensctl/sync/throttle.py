"""A limit to what many threads read together."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Throttle:
    """Spaces reads so that together they are no faster than a rate.

    Parameters
    ----------
    bytes_per_second : float
    clock : callable
        Seconds that only grow.
    """

    def __init__(self, bytes_per_second: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = bytes_per_second, clock
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, size: int, wait: Callable[[float], object]) -> None:
        """Account for bytes that were just read, and wait until they are due.

        Parameters
        ----------
        size : int
            Bytes.
        wait : callable
            Waits so many seconds, or less where nothing is to be read any more.
        """
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + size / self._rate
            due = self._free_at
        wait(due - now)
