"""Signals to real processes: the exit status, and what is left of workers, programs and temporary folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lensctl.io.tables.files import write_table
from tests.toys import catalogs as toys
from tests.toys.processes import begin, go_on, is_running, stop_when

STATUS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated"), signal.SIGHUP: (129, "hung up")}
ENDS = pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)

COMMAND = """
from lensctl.cli import main

def work(argv):
    import os, sys, time
    from pathlib import Path
    {work}

main._command = work
main.run()
"""
"""A process that runs some lines as if they were a command."""

WORKERS = """
    import multiprocessing
    from lensctl.io import workers
    for count, _ in enumerate(workers.each(time.sleep, [0.5, 0.6, 60], 2)):
        if count == 1:
            Path("new").write_text(" ".join(str(child.pid) for child in multiprocessing.active_children()))
            Path("new").rename("pids")
"""
"""One worker is busy in the end, and the other one is waiting."""
PROGRAM = """
    from lensctl.io import programs
    programs.run(["sh", "-c", "echo $$ > new; mv new pids; exec sleep 60"])
"""
SPILL = """
    from lensctl.io.tables.sql import Database
    with Database(threads=1, memory_mb_per_thread=60) as database:
        database._connection.execute("CREATE TABLE t AS SELECT hash(range) AS h FROM range(200_000_000) ORDER BY h")
"""


def begin_work(work: str, folder: Path) -> subprocess.Popen[str]:
    """Start a process that runs these lines as a command in a folder, with `tmp` in it for temporary files."""
    (folder / "tmp").mkdir()
    line = [sys.executable, "-c", COMMAND.format(work=work.strip())]
    env = {**os.environ, "TMPDIR": str(folder / "tmp")}
    return subprocess.Popen(line, cwd=folder, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_until(holds: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def ended(running: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and stderr of a process that ends soon."""
    _, said = running.communicate(timeout=30)
    return running.returncode, said.strip()


def all_end(pids: list[int]) -> bool:
    """Whether processes end within seconds."""
    end = time.monotonic() + 20
    while any(map(is_running, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(is_running, pids))


@ENDS
@pytest.mark.parametrize("work", [WORKERS, PROGRAM], ids=["workers", "program"])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to it", "to all of them"])
def test_a_signal_ends_a_command_and_its_children(number, work, send, tmp_path):
    running = begin_work(work, tmp_path)
    wait_until((tmp_path / "pids").exists, running)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert pids
    assert all(map(is_running, pids))
    send(running.pid, number)
    assert ended(running) == STATUS[number]
    assert not any(map(is_running, pids))


def test_workers_of_a_killed_command_end(tmp_path):
    running = begin_work(WORKERS, tmp_path)
    wait_until((tmp_path / "pids").exists, running)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    running.kill()
    assert all_end(pids)
    running.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_workers_leave_signals_from_the_terminal_to_the_command(number, tmp_path):
    running = begin_work(WORKERS, tmp_path)
    wait_until((tmp_path / "pids").exists, running)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    for pid in pids:
        os.kill(pid, number)
    time.sleep(0.5)
    assert all(map(is_running, pids))
    running.terminate()
    assert ended(running) == STATUS[signal.SIGTERM]


@ENDS
def test_a_signal_ends_a_database_that_spills_and_its_folder_goes(number, tmp_path):
    running = begin_work(SPILL, tmp_path)
    wait_until(lambda: any((tmp_path / "tmp").glob("lensctl-sql-*/content/*")), running)
    running.send_signal(number)
    assert ended(running) == STATUS[number]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def sample(tmp_path):
    """Start `lensctl sample`, with `tmp` for its temporary files."""
    write_table(toys.pool(2000), str(tmp_path / "pool.parquet"))
    write_table(toys.positives(9), str(tmp_path / "positives.parquet"))
    (tmp_path / "tmp").mkdir()
    arguments = ("sample", "pool.parquet", "n.parquet", "--positives", "positives.parquet")
    return lambda **more: begin(*arguments, cwd=tmp_path, TMPDIR=str(tmp_path / "tmp"), **more)


def begun(folder: Path) -> Callable[[], bool]:
    return lambda: any((folder / "tmp").glob("lensctl-sql-*/content"))


@ENDS
def test_a_signal_leaves_no_output_and_no_temporary_folder(number, sample, tmp_path):
    running = sample()
    assert stop_when(begun(tmp_path), running)
    running.send_signal(number)
    status, said = go_on(running)
    assert (status, said.splitlines()[-1]) == STATUS[number]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pool.parquet", "positives.parquet", "tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_command_left_goes_with_the_next_one(sample, tmp_path):
    running = sample()
    assert stop_when(begun(tmp_path), running)
    running.kill()
    running.communicate()
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    status, said = go_on(sample())
    assert status == 0, said
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_command_leaves_the_temporary_folder_of_another_that_runs(sample, tmp_path):
    first = sample()
    assert stop_when(begun(tmp_path), first)
    mine = list((tmp_path / "tmp").iterdir())
    assert go_on(sample())[0] == 0
    assert list((tmp_path / "tmp").iterdir()) == mine
    assert go_on(first)[0] == 2  # the other one has made the output


def test_under_nohup_a_command_goes_on_when_the_terminal_hangs_up(sample, tmp_path):
    running = sample(before=["nohup"])
    assert stop_when(begun(tmp_path), running)
    running.send_signal(signal.SIGHUP)
    status, said = go_on(running)
    assert status == 0, said
    assert (tmp_path / "n.parquet").exists()


def test_signals_at_once_are_one(tmp_path):
    slow = """
    try:
        Path("pids").touch()
        time.sleep(60)
    finally:
        time.sleep(0.5)
        Path("tidied").touch()
    """
    running = begin_work(slow, tmp_path)
    wait_until((tmp_path / "pids").exists, running)
    running.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    running.send_signal(signal.SIGHUP)
    assert ended(running) == STATUS[signal.SIGTERM]
    assert (tmp_path / "tidied").exists()


def test_a_later_signal_ends_a_command_that_does_not_come_to_an_end(tmp_path):
    stuck = """
    try:
        Path("pids").touch()
        time.sleep(60)
    finally:
        time.sleep(60)
    """
    running = begin_work(stuck, tmp_path)
    wait_until((tmp_path / "pids").exists, running)
    running.send_signal(signal.SIGTERM)
    time.sleep(1.2)
    running.send_signal(signal.SIGINT)
    assert ended(running) == (130, "")


def test_an_error_that_a_signal_leads_to_is_not_the_reason(tmp_path):
    turned = """
    try:
        Path("pids").touch()
        time.sleep(60)
    except KeyboardInterrupt as error:
        raise RuntimeError("query interrupted") from error
    """
    running = begin_work(turned, tmp_path)
    wait_until((tmp_path / "pids").exists, running)
    running.send_signal(signal.SIGTERM)
    assert ended(running) == STATUS[signal.SIGTERM]
