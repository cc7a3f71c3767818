"""Output of a command: one JSON line on stdout, everything for people on stderr."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any, TextIO

from lensctl.cli.pace import Pace
from lensctl.rules.errors import shortened, shown, without_secrets

if TYPE_CHECKING:
    from lensctl.io.reporter import Progress

STARTED = time.perf_counter()
PLAIN_LINE_EVERY_SECONDS = 10.0
USUAL_WIDTH, LEAST_WIDTH = 80, 20
"""Where no terminal tells its width; and what lines are broken to at least."""
DUMB = ("dumb", "unknown")
"""TERM of what can only add lines, as rich has it."""
BAR = 12
"""Characters of a bar, so that its numbers and notes fit 80 columns."""
_loud: TextIO | None = None
"""The stderr that `quietly` put aside."""


def out(line: str) -> None:
    """Write one line to stdout and flush."""
    sys.stdout.write(without_secrets(line) + "\n")
    sys.stdout.flush()


def say(text: str, style: str = "") -> None:
    """Write lines for people to stderr; on a terminal they break between words, and may have a style of rich."""
    text = _folded(shown(text), sys.stderr)
    if style and is_alive():
        from rich.console import Console
        from rich.text import Text

        Console(stderr=True, width=width()).print(Text(text, style=style))
    else:
        _write(sys.stderr, text)


def complain(text: str) -> None:
    """Write a line about an error to stderr, also within `quietly`; the end of a very long one is left out."""
    stream = _loud or sys.stderr
    _write(stream, _folded(shortened(shown(text)), stream))


def _write(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()


def _folded(text: str, stream: TextIO) -> str:
    """A text with lines that fit a terminal, what goes on indented; as it is where no terminal is."""
    if not stream.isatty():
        return text
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(
            line,
            width(stream),
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        ) or [line]
    return "\n".join(lines)


def width(stream: TextIO | None = None) -> int:
    """Columns of the terminal, by default that of stderr; COLUMNS wins, and where there is neither it is 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return max(int(given), LEAST_WIDTH)
    try:
        found = os.get_terminal_size((stream or sys.stderr).fileno()).columns
    except (OSError, ValueError, AttributeError):
        found = 0
    return max(found or USUAL_WIDTH, LEAST_WIDTH)


def is_alive() -> bool:
    """Whether stderr is a terminal on which lines can be drawn over, as bars are: not a dumb one."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in DUMB


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
        _write(sys.stderr, without_secrets(line))
    else:
        out(line)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table for people on stderr, no wider than the terminal; see `tables.drawn`."""
    from rich.console import Console

    from lensctl.cli.tables import drawn

    console = Console(stderr=True, width=width(), highlight=False, markup=False, emoji=False)
    console.print(drawn(title, columns, rows, width()), "", sep="\n")


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Progress]:
    """Show the progress of a job, with rate and time left: a bar on a terminal, otherwise a plain line now and then.

    Yields a function to call with the number of items just done.
    """
    if is_alive():
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
    from rich.table import Column
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")

    left = TimeRemainingColumn(elapsed_when_finished=True)
    gives_way = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    note = TextColumn("{task.description}", markup=False, table_column=gives_way)
    parts = (TextColumn(shown(what), markup=False), BarColumn(BAR), MofNCompleteColumn(), Rate(), left, note)
    with Bar(*parts, console=Console(stderr=True, width=width()), transient=True, expand=True) as bar:
        task = bar.add_task("", total=total)

        def advance(done: int, note: str = "", total: int | None = None) -> None:
            bar.update(task, advance=done, description=shown(note), total=total)

        yield advance
