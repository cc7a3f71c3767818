"""A rate limit shared by many threads."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Throttle:
    """Delays reads so that their total rate stays below a limit.

    Parameters
    ----------
    bytes_per_second : float
    clock : callable
        Monotonic clock in seconds.
    """

    def __init__(self, bytes_per_second: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = bytes_per_second, clock
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, size: int, wait: Callable[[float], object]) -> None:
        """Account for bytes just read, and wait until they are due.

        Parameters
        ----------
        size : int
            Bytes.
        wait : callable
            Waits this many seconds, or less if the run is stopped.
        """
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + size / self._rate
            due = self._free_at
        wait(due - now)
