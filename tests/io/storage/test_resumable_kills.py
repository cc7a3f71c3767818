"""Killed at any step of its way, a writer leaves an output that is whole or absent, and nothing that stays."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lensctl.io.storage.atomic import whole_file
from lensctl.io.storage.resumable import job, whole_folder
from tests.toys.cases import first

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "os.listdir", "fcntl.flock",
         "ctypes.dlopen", "shutil.rmtree", "os.link"}  # fmt: skip


def a_file(path: Path, data: bytes, overwrite: bool) -> None:
    with whole_file(path, overwrite) as part:
        part.write_bytes(data)


def a_folder(path: Path, data: bytes, overwrite: bool) -> None:
    with whole_folder(path, "evaluate", overwrite) as part:
        (part / "a").write_bytes(data)
        (part / "b").write_bytes(data)


def a_job(path: Path, data: bytes, overwrite: bool) -> None:
    with job(path, {"command": "cutout", "data": data.decode()}, overwrite=overwrite) as made:
        for name in "ab":
            (made.built / name).write_bytes(data)
        made.finish()


def a_file_by_a_job(path: Path, data: bytes, overwrite: bool) -> None:
    with job(path, {"command": "pool", "data": data.decode()}, overwrite=overwrite) as made:
        (made.folder / "made").write_bytes(data)
        made.finish(made.folder / "made")


Make = Callable[[Path, bytes, bool], None]


def killed_at(step: int, make: Make, path: Path, data: bytes, overwrite: bool) -> bool:
    """Make an output in a child that is killed at the nth step; False if it had ended before."""
    child = os.fork()
    if child == 0:
        left = [step]

        def kill(event: str, arguments: tuple[object, ...]) -> None:
            if event in STEPS:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        make(path, data, overwrite)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def content(path: Path) -> set[bytes]:
    return {path.read_bytes()} if path.is_file() else {file.read_bytes() for file in path.iterdir()}


@pytest.mark.parametrize("make", first(2, [a_file_by_a_job, a_folder, a_file, a_job]))
@pytest.mark.parametrize("before", [None, b"old"])
def test_the_same_command_again_ends_well_and_leaves_nothing(tmp_path, make, before):
    for step in range(1, 200):
        folder = tmp_path / str(step)
        folder.mkdir()
        path = folder / "o"
        if before:
            make(path, before, False)
        killed = killed_at(step, make, path, b"new", before is not None)
        if path.exists():
            assert content(path) in ([{before}, {b"new"}] if before else [{b"new"}])
        if killed and (before or not path.exists()):
            make(path, b"new", before is not None)
        assert content(path) == {b"new"}
        if before or not killed:
            assert os.listdir(folder) == ["o"]
        if not killed:
            assert step > 8
            return
    pytest.fail("it never ended")


@pytest.mark.parametrize("make", first(2, [a_job, a_file_by_a_job, a_folder, a_file]))
def test_killed_while_it_replaces_an_output_another_run_finds_the_old_one(tmp_path, make):
    for step in range(1, 200):
        folder = tmp_path / str(step)
        folder.mkdir()
        path = folder / "o"
        make(path, b"old", False)
        killed = killed_at(step, make, path, b"new", True)
        make(path, b"newer", True)
        assert content(path) == {b"newer"}
        assert os.listdir(folder) == ["o"]
        if not killed:
            return
