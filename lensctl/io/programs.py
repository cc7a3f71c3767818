"""Other programs that lensctl runs: none outlives it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 10.0
"""How long a program may tidy up before it is killed."""

_running: set[subprocess.Popen[str]] = set()


def run(
    line: Sequence[str],
    *,
    seconds: float | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    show_stderr: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its output as text, with stderr unless that is shown.

    Raises subprocess.TimeoutExpired after `seconds`. Then, and on any other exception, the program is ended first.
    """
    stderr = None if show_stderr else subprocess.PIPE
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=cwd, env=env) as program:
        _running.add(program)
        try:
            out, err = program.communicate(timeout=seconds)
        except BaseException:
            _end(program)
            raise
        finally:
            _running.discard(program)
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


def end_all() -> None:
    """End the programs that other threads are waiting for."""
    for program in tuple(_running):
        program.terminate()


def _end(program: subprocess.Popen[str]) -> None:
    program.terminate()
    try:
        program.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()
