"""What a command tells people while it works: notes, tables, progress. The command line shows it; Python is silent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

Receipt = dict[str, Any]
"""What a command made: `command`, `output`, and counts; the JSON line of the command line."""


class Progress(Protocol):
    """Shows the progress of a job."""

    def __call__(self, done: int, note: str = "", total: int | None = None) -> None:
        """Advance by `done` items; `note` is shown beside the count, `total` updates the expected number."""


class Reporter(Protocol):
    """Shows people what a command says; `lensctl.cli.report` is one."""

    def say(self, text: str) -> None:
        """A line."""

    def complain(self, text: str) -> None:
        """A line about an error, shown to those too who want to hear of nothing else."""

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table."""

    def progress(self, what: str, total: int | None) -> AbstractContextManager[Progress]:
        """The progress of a job of so many items, if known; call what it yields with the number just done."""


class _Silent:
    """Shows nothing."""

    def say(self, text: str) -> None:
        pass

    def complain(self, text: str) -> None:
        pass

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        pass

    def progress(self, what: str, total: int | None) -> AbstractContextManager[Progress]:
        return nullcontext(nothing)


def nothing(done: int, note: str = "", total: int | None = None) -> None:
    """Show no progress."""


SILENT: Reporter = _Silent()
"""The reporter of Python code that names no other."""
