"""lensctl as real processes: begun, stopped half-way, killed; and what else may lie where an output is made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

VICTIM = b"not to be touched"


def begin(*args: object, cwd: Path, before: Sequence[str] = (), **env: str) -> subprocess.Popen[str]:
    """Start `lensctl ARGS...`, by way of the program `before` if one is named, with more in its environment."""
    command = [*before, sys.executable, "-m", "lensctl", *map(str, args)]
    more = {**os.environ, **env}
    return subprocess.Popen(command, cwd=cwd, env=more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def is_running(pid: int) -> bool:
    """Whether there is a process of this number that has not ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def stop_when(begun: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Stop a process (SIGSTOP) as soon as something has begun; False if it ended before."""
    while not begun():
        if process.poll() is not None:
            return False
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return process.poll() is None and begun()


def go_on(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Let a stopped process go on to its end: exit status, stderr."""
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=300)
    return process.returncode, err


def kill_after(seconds: float, process: subprocess.Popen[str]) -> None:
    """Kill a process (SIGKILL) after a time, unless it has ended."""
    time.sleep(seconds)
    process.kill()
    process.communicate()


def plant(kind: str, place: Path, victim: Path) -> None:
    """Lay something in a place: a link to a `folder` or `file` with a victim, a `folder` or a `file` of one's own."""
    (victim / "kept").mkdir(parents=True)
    (victim / "kept" / "0").write_bytes(VICTIM)
    if kind == "link to a folder":
        place.symlink_to(victim / "kept", target_is_directory=True)
    elif kind == "link to a file":
        place.symlink_to(victim / "kept" / "0")
    elif kind == "link to nothing":
        place.symlink_to(victim / "made")
    elif kind == "folder":
        place.mkdir()
        (place / "0").write_bytes(VICTIM)
    else:
        place.write_bytes(VICTIM)


PLANTED = ("link to a folder", "link to a file", "link to nothing", "folder", "file")


def assert_untouched(kind: str, place: Path, victim: Path) -> None:
    """What was planted is as it was, and so is the victim."""
    assert sorted(path.name for path in victim.rglob("*")) == ["0", "kept"]
    assert (victim / "kept" / "0").read_bytes() == VICTIM
    assert place.is_symlink() == kind.startswith("link")
    if kind == "folder":
        assert [(path.name, path.read_bytes()) for path in place.iterdir()] == [("0", VICTIM)]
    elif kind == "file":
        assert place.read_bytes() == VICTIM
