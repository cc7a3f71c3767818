"""The warm process, with the valid inputs it is given copies of."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.fuzz import inputs
from tests.fuzz.reader import Reader
from tests.fuzz.readers import READERS
from tests.fuzz.warm import LONGEST_S, MOST_BYTES, OUTPUT

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a case ended: exit status (below 0: a signal), seconds, bytes of memory at most, and all that it said."""

    status: int
    seconds: float
    bytes: int
    said: str

    def is_ours(self) -> bool:
        """Whether it ended as a command may, in time and in memory, with an error if it could not be done."""
        spoken = self.status in (0, 1) or (self.status == 2 and "error: " in self.said)
        return spoken and "Traceback" not in self.said and self.seconds < LONGEST_S and self.bytes < MOST_BYTES

    def __str__(self) -> str:
        return f"status {self.status} after {self.seconds:.1f} s, {self.bytes / 1e6:.0f} MB\n{self.said}"


class Warm:
    """The warm process, and the folder of valid inputs."""

    def __init__(self, valid: Path, place: Path) -> None:
        self.valid, self.place = valid, place
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._answer() == "ready"

    def case(self, name: str, *seeds: str | None) -> Ended:
        """How the reading of an input ends, damaged by a seed (None: valid); with several, of one after the other."""
        reader = READERS[name]
        self._clear()
        folders = [self._filled(str(number), reader) for number, _ in enumerate(seeds)]
        for folder, seed in zip(folders, seeds, strict=True):
            if seed is not None:
                spoil(folder / "case" / reader.file, reader, seed)
        return self._run(name, "", folders)

    def command(self, command: str, needs: str = "") -> Ended:
        """How a command line ends."""
        self._clear()
        return self._run("", command, [self._filled("0", Reader("", command, (), needs))])

    def _clear(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)

    def _filled(self, name: str, reader: Reader) -> Path:
        """A new folder with copies of what a command needs in its `case`."""
        folder = self.place / name
        (folder / "case").mkdir(parents=True)
        for each in filter(None, reader.inputs()):
            _copy(self.valid / each, folder / "case" / each)
        return folder

    def _run(self, name: str, command: str, folders: list[Path]) -> Ended:
        self._process.stdin.write(json.dumps([name, command, [str(folder) for folder in folders]]) + "\n")
        self._process.stdin.flush()
        ended = self._answer()
        files = [folder / OUTPUT for folder in folders]
        said = [file.read_text(errors="replace") for file in files if file.is_file()]
        return Ended(**ended, said="".join(said))

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        assert line, "the warm process is gone"
        return json.loads(line)

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)


def spoil(file: Path, reader: Reader, seed: str) -> None:
    data = reader.mutate(file.read_bytes(), Random(seed))
    file.unlink()
    file.write_bytes(data)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    valid = tmp_path_factory.mktemp("valid")
    inputs.make(valid, tmp_path_factory)
    started = Warm(valid, tmp_path_factory.mktemp("fuzz"))
    yield started
    started.end()
