"""stdin, stdout and stderr of the process, as they may be found: closed, full, or without a reader."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from lensctl.rules.errors import InputError, LensctlError, ReaderGone


class _Stdout(io.FileIO):
    """A failure to write ends the command, whoever writes; it is no OSError, for which Typer would exit with 1."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError as error:
            raise ReaderGone from error
        except OSError as error:
            raise LensctlError(
                f"stdout cannot be written ({error.strerror})",
                "send it to a file on a disk with room; an output that the command has finished is complete",
            ) from error


class _Stderr(io.FileIO):
    """Messages for people: that nobody gets them changes nothing."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Make the three streams safe to use.

    What is closed is opened on the null device: otherwise the next file to be opened would take its number, and
    receive what is written to the stream.

    Raises InputError if stdout is closed: neither a table nor a receipt nor a verdict could be given.
    """
    closed = [number for number in range(3) if not _is_open(number)]
    for number in closed:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
        os.set_inheritable(number, True)
    sys.stderr = _text(_Stderr(2, "w", closefd=False), sys.stderr, "backslashreplace", line_buffering=True)
    if 1 in closed:
        raise InputError("stdout is closed", "send it to a file or a pipe, or to /dev/null")
    sys.stdout = _text(_Stdout(1, "w", closefd=False), sys.stdout, "strict", line_buffering=os.isatty(1))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text(raw: io.FileIO, before: TextIO | None, errors: str, *, line_buffering: bool) -> TextIO:
    """A text stream like the one that Python made, if it made one."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors=getattr(before, "errors", None) or errors,
        line_buffering=line_buffering,
        write_through=bool(getattr(before, "write_through", False)),
    )
