"""A limit to what many threads read together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """Spaces reads so that together they are no faster than a rate.

    Parameters
    ----------
    bytes_per_second : float
    wait : callable
        Waits so many seconds, or less where nothing is to be read any more.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self, bytes_per_second: float, wait: Callable[[float], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._wait, self._clock = bytes_per_second, wait, clock
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, size: int) -> None:
        """Account for bytes that were just read, and wait until they are due."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + size / self._rate
            due = self._free_at
        self._wait(due - now)
