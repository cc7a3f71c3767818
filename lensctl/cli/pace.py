"""How fast a job goes, and how long it will take."""

from __future__ import annotations

import datetime
from collections import deque

WINDOW_SECONDS = 60.0


class Pace:
    """The rate of the last minute; of all the time so far before one has passed.

    Parameters
    ----------
    now : float
        Seconds of a clock that never goes back, as in all methods.
    """

    def __init__(self, now: float) -> None:
        self.done = 0
        self._marks = deque([(now, 0)])

    def advance(self, count: int, now: float) -> None:
        """Count what was just done."""
        self.done += count
        if now - self._marks[-1][0] >= 1.0:
            self._marks.append((now, self.done))
        while len(self._marks) > 2 and now - self._marks[1][0] >= WINDOW_SECONDS:
            self._marks.popleft()

    def rate(self, now: float) -> float:
        """Per second; 0 before anything was done."""
        started, before = self._marks[0]
        return (self.done - before) / (now - started) if now > started else 0.0

    def left(self, to_do: int, now: float) -> str:
        """How long the rest will take at this rate, such as "0:12:30 left"; empty if nothing was done."""
        rate = self.rate(now)
        return f"{datetime.timedelta(seconds=round(to_do / rate))} left" if rate else ""
