"""Output of a command: one JSON line on stdout, everything for people on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any, TextIO

from lensctl.cli.pace import Pace
from lensctl.rules.errors import printable, without_secrets

if TYPE_CHECKING:
    from lensctl.io.reporter import Progress

STARTED = time.perf_counter()
PLAIN_LINE_EVERY_SECONDS = 10.0
LONGEST_LINE = 1000
_loud: TextIO | None = None
"""The stderr that `quietly` put aside."""


def out(line: str) -> None:
    """Write one line to stdout and flush."""
    sys.stdout.write(without_secrets(line) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a line for people to stderr."""
    sys.stderr.write(shown(text) + "\n")
    sys.stderr.flush()


def complain(text: str) -> None:
    """Write a line about an error to stderr, also within `quietly`; the end of a very long one is left out."""
    stream = _loud or sys.stderr
    text = shown(text)
    stream.write((text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 1]}…") + "\n")
    stream.flush()


def shown(text: str) -> str:
    """A text as people see it: without secrets in addresses, and with nothing that a terminal would obey."""
    return printable(without_secrets(text))


@contextmanager
def quietly(wanted: bool) -> Iterator[None]:
    """Discard what is written to stderr, if wanted, but for complaints."""
    global _loud
    if not wanted:
        yield
        return
    with open(os.devnull, "w") as nowhere:
        _loud = sys.stderr
        try:
            with redirect_stderr(nowhere):
                yield
        finally:
            _loud = None


def seconds() -> float:
    """Seconds since the command began."""
    return round(time.perf_counter() - STARTED, 2)


def receipt(command: str, output: str | None, **facts: Any) -> None:
    """Print a summary of the output as one JSON line: on stdout, or on stderr if the output itself went to stdout."""
    line = json.dumps({"command": command, "output": output, **facts, "seconds": seconds()})
    if output == "-":
        say(line)
    else:
        out(line)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table for people on stderr; numbers are right-aligned, missing values are a dash."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    drawn = Table(title=Text(shown(title)), title_justify="left", title_style="bold")
    for i, name in enumerate(columns):
        numeric = bool(cells) and all(isinstance(row[i], int | float) or row[i] is None for row in cells)
        drawn.add_column(Text(shown(name)), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(_cell(value)) for value in row))
    console = Console(stderr=True)
    if not console.is_terminal:
        console.width = max(console.width, 140)
    console.print(drawn)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return shown(str(value))


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Progress]:
    """Show the progress of a job, with rate and time left: a bar on a terminal, otherwise a plain line now and then.

    Yields a function to call with the number of items just done.
    """
    if sys.stderr.isatty():
        with _bar(what, total) as advance:
            yield advance
        return
    last_printed, expected = time.monotonic(), total
    pace = Pace(last_printed)

    def plain(done: int, note: str = "", total: int | None = None) -> None:
        nonlocal last_printed, expected
        expected = total or expected
        now = time.monotonic()
        pace.advance(done, now)
        if now - last_printed >= PLAIN_LINE_EVERY_SECONDS:
            last_printed = now
            parts = [f"{what}: {pace.done:,}" + (f" of {expected:,}" if expected else ""), f"{pace.rate(now):,.0f}/s"]
            left = pace.left(expected - pace.done, now) if expected else ""
            say(", ".join([*parts, *(part for part in (left, note) if part)]))

    yield plain


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Progress]:
    """A bar on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")

    left = TimeRemainingColumn(elapsed_when_finished=True)
    note = TextColumn("{task.description}", markup=False)
    parts = (TextColumn(shown(what), markup=False), BarColumn(), MofNCompleteColumn(), Rate(), left, note)
    with Bar(*parts, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def advance(done: int, note: str = "", total: int | None = None) -> None:
            bar.update(task, advance=done, description=shown(note), total=total)

        yield advance
