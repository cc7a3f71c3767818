"""Rate limit, backoff and circuit breaker for a remote service."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from lensctl.io.storage.retry import POLICY, RetryPolicy
from lensctl.rules.errors import ServiceError

NEVER_ANSWERED = 0.1  # share of `patience` for a service that has never answered: the URL may be wrong


@dataclass(frozen=True)
class Pace:
    """Limits and delays in seconds, with the clock and random numbers they use.

    Parameters
    ----------
    rate : float, optional
        Maximum requests per second.
    retry : RetryPolicy
        Maximum tries for one cutout, and maximum waits; the actual wait is a random share of these.
    longest_asked : float
        Upper limit on waits the service asks for (Retry-After).
    patience : float
        How long to wait for a service that is down.
    clock : callable
        Monotonic clock in seconds.
    chance : callable
        Random numbers from 0 to 1.
    sleep : callable
        Waits this many seconds.
    """

    clock: Callable[[], float]
    chance: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rate: float | None = None
    retry: RetryPolicy = POLICY
    longest_asked: float = 300.0
    patience: float = 300.0

    def before_try(self, number: int) -> float:
        """Seconds to wait after `number` tries: exponential backoff with full jitter."""
        return self.chance() * self.retry.longest_before(number)


@dataclass
class CircuitBreaker:
    """Gate that every request passes: rate limit, waits the service asks for, and breaker.

    The breaker opens after `threshold` consecutive failures. Then only one probe is sent, at growing intervals; when
    it succeeds all requests resume, and when patience runs out all stop.
    """

    pace: Pace
    threshold: int
    probe: Callable[[], Awaitable[bool]]
    failures: int = 0
    last_answer: float | None = None
    _next_turn: float = 0.0
    _held_until: float = 0.0
    _reason: str = ""
    _closed: asyncio.Event = field(default_factory=asyncio.Event)
    _prober: asyncio.Task[None] | None = None
    _given_up: ServiceError | None = None

    def __post_init__(self) -> None:
        self._closed.set()

    async def enter(self) -> None:
        """Wait for permission to send a request; ServiceError if the service was given up."""
        while True:
            await self._closed.wait()
            if self._given_up is not None:
                raise self._given_up
            now = self.pace.clock()
            if self._held_until > now:
                await self.pace.sleep(self._held_until - now)
                continue
            if self.pace.rate:
                turn = max(self._next_turn, now)
                self._next_turn = turn + 1.0 / self.pace.rate
                await self.pace.sleep(turn - now)
            return

    def hold(self, seconds: float) -> None:
        """Send no request for this many seconds."""
        self._held_until = max(self._held_until, self.pace.clock() + min(seconds, self.pace.longest_asked))

    def answered(self) -> None:
        """Record a success."""
        self.failures = 0
        self.last_answer = self.pace.clock()

    def failed(self, reason: str) -> None:
        """Record a failure; the breaker opens after too many."""
        self.failures += 1
        self._reason = reason
        if self.failures >= self.threshold and self._closed.is_set():
            self._closed.clear()
            self._prober = asyncio.create_task(self._wait_for_service())

    async def _wait_for_service(self) -> None:
        opened = self.pace.clock()
        retry = 1
        patience = self.pace.patience if self.last_answer is not None else self.pace.patience * NEVER_ANSWERED
        while True:
            left = opened + patience - self.pace.clock()
            if left <= 0:
                break
            await self.pace.sleep(min(self.pace.retry.longest_before(retry), left))
            if await self.probe():
                self.answered()
                self._closed.set()
                return
            retry += 1
        self._give_up(
            f"the cutout service does not respond: {self.failures} consecutive failures, {patience:g} s of waiting "
            f"(last: {self._reason})"
        )

    def _give_up(self, why: str) -> None:
        self._given_up = ServiceError(why, "what is done is kept: rerun the command once the service is up")
        self._closed.set()

    def tasks(self) -> list[asyncio.Task[None]]:
        """Background tasks, to be cancelled at the end."""
        return [self._prober] if self._prober is not None else []


def retry_after_seconds(headers: Mapping[str, Any], now: datetime) -> float | None:
    """Seconds of a Retry-After header, a number or a date; None if missing or invalid."""
    value = str(headers.get("Retry-After", "")).strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        return max((parsedate_to_datetime(value) - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
