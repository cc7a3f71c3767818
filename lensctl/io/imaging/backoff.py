"""How fast a service may be asked, how long one waits for it, and when to give it up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from lensctl.io.storage.retry import POLICY, RetryPolicy
from lensctl.rules.errors import ServiceError

NEVER_ANSWERED = 0.1  # share of the patience for a service that has not answered at all: the address may be wrong


@dataclass(frozen=True)
class Pace:
    """Limits and delays, in seconds; and the clock and the chance they depend on.

    Parameters
    ----------
    rate : float, optional
        Requests per second at most.
    retry : RetryPolicy
        How often one thing is asked for, and how long one waits before: a random share of what the policy says.
    longest_asked : float
        A wait that the service asks for is honoured up to this.
    patience : float
        How long a service that is down is waited for.
    clock : callable
        Seconds that only grow.
    chance : callable
        Random numbers from 0 to 1.
    sleep : callable
        Waits so many seconds.
    """

    clock: Callable[[], float]
    chance: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rate: float | None = None
    retry: RetryPolicy = POLICY
    longest_asked: float = 300.0
    patience: float = 300.0

    def before_try(self, number: int) -> float:
        """Seconds to wait before the next try, after so many: exponential backoff with full jitter."""
        return self.chance() * self.retry.longest_before(number)


@dataclass
class CircuitBreaker:
    """What every request passes: the rate, the waits the service asks for, and the breaker.

    The breaker opens after `threshold` failures in a row with no answer in between. Then nobody asks but one probe,
    ever more rarely; when it is answered all go on, and when patience runs out all stop.
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
        """Wait for one's turn; ServiceError where the service was given up."""
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
        """Nobody asks for so many seconds."""
        self._held_until = max(self._held_until, self.pace.clock() + min(seconds, self.pace.longest_asked))

    def answered(self) -> None:
        """The service did its part."""
        self.failures = 0
        self.last_answer = self.pace.clock()

    def failed(self, reason: str) -> None:
        """The service did not; the breaker opens when it did not too often."""
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
            f"the cutout service does not answer: {self.failures} failures in a row and {patience:g} s of waiting "
            f"(last: {self._reason})"
        )

    def _give_up(self, why: str) -> None:
        self._given_up = ServiceError(why, "what is done is kept: run the same command again when it is up")
        self._closed.set()

    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs in the background, to be cancelled in the end."""
        return [self._prober] if self._prober is not None else []
