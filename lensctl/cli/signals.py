"""Signals that end a command: Ctrl-C, SIGTERM and SIGHUP alike, with its workers and its temporary files."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

ENDINGS = {signal.SIGHUP: "hung up", signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""What a command says that was ended by a signal."""

ONE_BLOW_SECONDS = 1.0
"""Signals this soon after the first belong to it: `timeout`, terminals and schedulers often send two."""

_first: tuple[int, float] | None = None


def heed() -> None:
    """From now on, raise KeyboardInterrupt on the first signal, and exit at once on a later one.

    A signal that is ignored already, as SIGHUP under `nohup`, stays ignored.
    """
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def ignore() -> None:
    """From now on, ignore signals: the command is done."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)


def received() -> int | None:
    """The signal that ends this command, if there was one."""
    return _first[0] if _first else None


def status_of(number: int) -> int:
    """Exit status of a command that a signal ended, as shells count it."""
    return 128 + number


def _stop(number: int, frame: FrameType | None) -> None:
    global _first
    if _first is None:
        _first = number, time.monotonic()
        raise KeyboardInterrupt
    if time.monotonic() - _first[1] > ONE_BLOW_SECONDS:
        os._exit(status_of(number))
