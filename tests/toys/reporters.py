"""Reporters that hand the progress of a command to a function, or keep what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Advancing:
    """Says and shows nothing; each progress calls `advance` with the number just done."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance

    def say(self, text: str) -> None:
        pass

    def complain(self, text: str) -> None:
        pass

    def table(self, title: str, columns: Any, rows: Any) -> None:
        pass

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[..., None]]:
        yield lambda done, note="", total=None: self._advance(done)


class Saying(Advancing):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(lambda done: None)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)
