"""Other programs: their output comes back, and none outlives the call or the thread that waits for it."""

from __future__ import annotations

import subprocess
import threading
import time

import pytest

from lensctl.io import programs
from tests.toys.processes import is_running

SLEEPS = "echo $$ > pid; exec sleep 20"
DEAF = f"trap '' TERM; {SLEEPS}"


def pid_in(folder):
    while not (folder / "pid").exists() or not (folder / "pid").read_text().endswith("\n"):
        time.sleep(0.01)
    return int((folder / "pid").read_text())


def test_output_errors_and_status_come_back(tmp_path):
    done = programs.run(["sh", "-c", "pwd; echo $WORD >&2; exit 7"], cwd=tmp_path, env={"WORD": "no"})
    assert (done.stdout, done.stderr, done.returncode) == (f"{tmp_path}\n", "no\n", 7)


def test_stderr_can_be_shown(capfd):
    done = programs.run(["sh", "-c", "echo shown >&2"], show_stderr=True)
    assert (done.stderr, capfd.readouterr().err) == (None, "shown\n")


def test_a_program_that_is_missing_is_an_oserror():
    with pytest.raises(FileNotFoundError):
        programs.run(["no-such-program"])


@pytest.mark.parametrize("script", [SLEEPS, DEAF], ids=["sleeps", "deaf"])
def test_a_program_that_takes_too_long_is_ended(script, tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "GRACE_SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        programs.run(["sh", "-c", script], seconds=0.5, cwd=tmp_path)
    assert time.monotonic() - started < 10
    assert not is_running(pid_in(tmp_path))


def test_programs_that_other_threads_wait_for_can_be_ended(tmp_path):
    waiting = threading.Thread(target=programs.run, args=(["sh", "-c", SLEEPS],), kwargs={"cwd": tmp_path})
    waiting.start()
    pid = pid_in(tmp_path)
    while not programs._running:  # the program may write before it is known here
        time.sleep(0.01)
    programs.end_all()
    waiting.join(5)
    assert not waiting.is_alive()
    assert not is_running(pid)
