"""The ledger: what it says of each object, and that an interrupted run leaves it to the next."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.toys.sync import FILES, NOTE, fill, run


def test_the_ledger_says_size_and_digest_and_is_the_same_twice(source, tmp_path):
    for name in ("one", "two"):
        run(source, tmp_path / name, connections=3)
    lines = [json.loads(line) for line in (tmp_path / "one" / NOTE).read_text().splitlines()]
    assert {line["key"]: line["digest"] for line in lines} == {
        key: f"sha256:{hashlib.sha256(data).hexdigest()}" for key, data in FILES.items()
    }
    assert [line["key"] for line in lines] == sorted(FILES)
    assert (tmp_path / "one" / NOTE).read_bytes() == (tmp_path / "two" / NOTE).read_bytes()


def test_an_interrupted_run_leaves_its_journal_to_the_next(source, tmp_path):
    target = tmp_path / "target"
    run(source, target)
    lines = (target / NOTE).read_bytes().splitlines(keepends=True)
    (target / NOTE).unlink()
    stage = target / ".lensctl-sync.part"
    fill(stage, {NOTE: b"".join(lines)[:-30], "7": b"half a file"})
    outcome = run(source, target)
    assert (outcome.copied, outcome.skipped) == (0, 8)
    assert (target / NOTE).read_bytes() == b"".join(lines)
    assert not stage.exists()


@pytest.mark.parametrize("line", ['{"key": "\\ud800"}', '{"key": 3}', '{"key": ["a"]}', "[]", "3"])
def test_a_line_of_another_shape_is_as_one_that_is_not_there(source, tmp_path, line):
    target = tmp_path / "target"
    run(source, target)
    known = (target / NOTE).read_bytes()
    (target / NOTE).write_bytes(line.encode() + b"\n" + known)
    run(source, target)
    assert (target / NOTE).read_bytes() == known
