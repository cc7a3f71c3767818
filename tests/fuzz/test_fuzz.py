"""Damaged inputs of every reader: each ends with an exit status of ours, in time and in memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import inputs
from tests.fuzz.readers import READERS, Reader
from tests.fuzz.warm import LONGEST_S, MOST_BYTES, OUTPUT

ROOT = Path(__file__).resolve().parents[2]
USUAL, SOAK = 50, 200


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

    def case(self, name: str, seed: str | None) -> tuple[dict[str, float], str]:
        """How the reading of an input ends, damaged by a seed (None: valid), and all that it says."""
        folder = self.place / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        reader = READERS[name]
        for each in reader.inputs():
            _copy(self.valid / each, folder / each)
        if seed is not None:
            spoil(folder / reader.file, reader, seed)
        self._process.stdin.write(json.dumps([name, str(folder)]) + "\n")
        self._process.stdin.flush()
        ended = self._answer()
        return ended, (self.place / OUTPUT).read_text(errors="replace")

    def _answer(self) -> object:
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


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    valid = tmp_path_factory.mktemp("valid")
    inputs.make(valid, tmp_path_factory)
    started = Warm(valid, tmp_path_factory.mktemp("fuzz"))
    yield started
    started.end()


@pytest.mark.parametrize("name", READERS)
def test_what_is_not_damaged_is_read(warm, name):
    ended, said = warm.case(name, None)
    assert ended["status"] in (0, 1), said


READ_BY = Counter(reader.file for reader in READERS.values())
"""How many read a file: they share its damages."""
CASES = [
    pytest.param(name, number, marks=[pytest.mark.soak] if number * READ_BY[reader.file] >= USUAL else [])
    for name, reader in READERS.items()
    for number in range(-(-SOAK // READ_BY[reader.file]))
]


@pytest.mark.parametrize(("name", "number"), CASES)
def test_damage_is_never_our_fault(warm, name, number):
    ended, said = warm.case(name, f"{name}-{number}")
    how = f"{name}, number {number}: {ended}\n{said}"
    assert ended["status"] in (0, 1, 2), how
    assert "Traceback" not in said, how
    assert ended["status"] == 0 or "error: " in said or ended["status"] == 1, how
    assert ended["seconds"] < LONGEST_S, how
    assert ended["bytes"] < MOST_BYTES, how
