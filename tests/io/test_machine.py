"""What is said of the machine is a fact of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lensctl.io import machine
from lensctl.rules.errors import InputError


def test_free_memory_is_part_of_the_memory_and_less_in_a_container(tmp_path, monkeypatch):
    total, free = machine.memory_bytes()
    assert 1 << 20 < free <= total
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.memory_bytes() == (3_000_000, 2_000_000)
    assert machine.free_memory_bytes() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory_bytes()[0] == total
    monkeypatch.setattr(machine, "CGROUP", Path("/nowhere"))
    assert machine.memory_bytes()[0] == total


def test_java_that_does_not_answer_is_a_sentence(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(machine, "JAVA_SECONDS", 0.2)
    with pytest.raises(InputError, match=r"java -version did not answer within 0\.2 s"):
        machine.java()
