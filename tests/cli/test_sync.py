"""`lensctl sync` as a process: what it says, how it ends, and what a kill leaves."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lensctl.io.storage.incomplete import INCOMPLETE
from tests.toys.sync import FILES, NOTE, everything, fill, spoil, tree


@pytest.fixture
def source(tmp_path):
    return fill(tmp_path / "source", FILES)


def receipt(done) -> dict:
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done
    return json.loads(lines[0])


def test_it_says_what_it_did_in_one_line(lensctl, source, tmp_path):
    done = lensctl("sync", source, "target")
    assert done.returncode == 0, done.stderr
    said = receipt(done)
    size = sum(map(len, FILES.values()))
    assert said.pop("seconds") > 0
    assert said == {
        "command": "sync",
        "output": "target",
        "objects": 8,
        "bytes": size,
        "copied": 8,
        "copied_bytes": size,
        "skipped": 0,
        "deleted": 0,
        "failed": 0,
    }
    assert tree(tmp_path / "target") == FILES
    again = lensctl("sync", source, "target")
    assert (again.returncode, receipt(again)["copied"], receipt(again)["skipped"]) == (0, 0, 8)
    assert "nothing to do" in again.stderr


def test_the_same_command_gives_the_same_bytes(lensctl, source, tmp_path):
    for name in ("one", "two"):
        lensctl("sync", source, name)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")
    assert all((tmp_path / "two" / name).read_bytes() == data for name, data in tree(tmp_path / "one").items())
    assert (tmp_path / "one" / NOTE).read_bytes() == (tmp_path / "two" / NOTE).read_bytes()


def test_options_and_a_config_choose_and_remove(lensctl, source, tmp_path):
    (tmp_path / "sync.yaml").write_text("include: ['*.json', '*.parquet']\ndelete: true\n")
    fill(tmp_path / "target", {"old.json": b"1", "kept.csv": b"2"})
    dry = lensctl("sync", source, "target", "--config", "sync.yaml", "--dry-run")
    assert dry.stderr.splitlines()[-3:] == ["copy a.parquet", "copy images/zarr.json", "delete old.json"]
    assert receipt(dry)["dry_run"] is True
    assert tree(tmp_path / "target") == {"old.json": b"1", "kept.csv": b"2"}
    done = lensctl("sync", source, "target", "--config", "sync.yaml", "--exclude", "*.parquet")
    assert receipt(done)["deleted"] == 1
    assert sorted(tree(tmp_path / "target")) == ["images/zarr.json", "kept.csv"]


def test_a_failure_is_said_listed_and_exit_2(lensctl, source, tmp_path):
    fill(tmp_path / "target", {"a.parquet/in the way": b"1"})
    done = lensctl("sync", source, "target")
    assert done.returncode == 2
    said = receipt(done)
    assert (said["failed"], said["copied"]) == (1, 7)
    assert "failed: a.parquet: Is a directory" in done.stderr
    assert json.loads((tmp_path / said["failures"]).read_text())["key"] == "a.parquet"


def test_verify_says_how_many_were_corrupt_and_which(lensctl, source, tmp_path):
    lensctl("sync", source, "target")
    spoil(tmp_path / "target/images/c/0/0")
    done = lensctl("sync", source, "target", "--verify")
    assert (done.returncode, receipt(done)["corrupt"], receipt(done)["copied"]) == (0, 1, 1)
    assert "mend images/c/0/0" in done.stderr
    assert tree(tmp_path / "target") == FILES


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "target"], "nothing to copy"),
        (["-", "target"], "pipe"),
        (["source", "source/images"], "overlap"),
        (["source", "target", "--connections", "0"], "--connections"),
        (["source", "target", "--bwlimit", "fast"], "--bwlimit fast is not a rate"),
        (["source", "target", "--bwlimit", "0M"], "is not a rate"),
        (["source", "target", "--bwlimit", "0.001"], "is not a rate"),
        (["source", ""], "an argument is empty"),
        (["source", "target", "--inclde", "*"], "--inclde"),
        (["source", "source/a.parquet"], "is a file"),
        (["s3://", "target"], "no bucket name"),
        (["source"], "DST"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(lensctl, source, tmp_path, arguments, says):
    before = everything(tmp_path)
    done = lensctl("sync", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert everything(tmp_path) == before


def test_s3_by_the_environment_alone(lensctl, source, tmp_path, bucket):
    assert receipt(lensctl("sync", source, f"s3://{bucket}/a"))["copied"] == 8
    assert receipt(lensctl("sync", f"s3://{bucket}/a", f"s3a://{bucket}/b", "--verify"))["copied"] == 8
    assert receipt(lensctl("sync", f"s3://{bucket}/b", "back"))["copied"] == 8
    assert tree(tmp_path / "back") == FILES


def start(*arguments: object, cwd: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lensctl", "sync", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_and_finish(lensctl, tmp_path: Path, times: int, source: Path, target: str, begun, sound) -> None:
    """Kill a sync at random moments of its work until it has died `times` times; then let it finish."""
    chance = random.Random(7)
    for _ in range(times):
        running = start(source, target, "--connections", 4, "--bwlimit", "60M", cwd=tmp_path)
        while not begun() and running.poll() is None:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.7))
        running.kill()
        running.wait()
        sound()
    done = lensctl("sync", source, target)
    assert done.returncode == 0, done.stderr
    sound()


def check_kills(lensctl, tmp_path, times: int) -> None:
    files = {f"{i % 20}/{i}.npz": os.urandom(20_000 + 300 * i) for i in range(600)}
    source = fill(tmp_path / "source", files)
    caught = []

    def sound() -> None:
        there = tree(tmp_path / "target") if (tmp_path / "target").exists() else {}
        caught.append(len(there))
        if 0 < len(there) < len(files):
            assert (tmp_path / "target" / INCOMPLETE).exists()
        assert all(files[name] == data for name, data in there.items())

    stage = tmp_path / "target/.lensctl-sync.part"
    kill_and_finish(lensctl, tmp_path, times, source, "target", lambda: stage.exists() and os.listdir(stage), sound)
    assert tree(tmp_path / "target") == files
    assert not stage.exists()
    assert not (tmp_path / "target" / INCOMPLETE).exists()
    assert len((tmp_path / "target" / NOTE).read_text().splitlines()) == len(files)
    assert lensctl("sync", source, "target", "--verify").returncode == 0
    assert any(0 < count < len(files) for count in caught), "no kill came in the middle"


def test_a_kill_leaves_only_whole_files_and_the_rerun_finishes(lensctl, tmp_path):
    check_kills(lensctl, tmp_path, 4)


@pytest.mark.soak
def test_many_kills(lensctl, tmp_path):
    check_kills(lensctl, tmp_path, 60)


def test_an_interrupt_ends_with_130_and_the_rerun_finishes(lensctl, tmp_path):
    files = {f"{i}.npz": os.urandom(200_000) for i in range(800)}
    source = fill(tmp_path / "source", files)
    running = start(source, "target", "--connections", 1, "--bwlimit", "20M", cwd=tmp_path)
    while not any((tmp_path / "target").rglob("*")):
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130
    assert all(files[name] == data for name, data in tree(tmp_path / "target").items())
    assert lensctl("sync", source, "target").returncode == 0
    assert tree(tmp_path / "target") == files


def test_a_kill_while_uploading_shows_only_whole_objects(lensctl, tmp_path, bucket):
    from lensctl.sync.places import open_object_store

    files = {f"{i}": os.urandom(100_000) for i in range(150)} | {"large": os.urandom(20 << 20)}
    source = fill(tmp_path / "source", files)

    def there() -> dict[str, int]:
        return {entry.key: entry.size for entry in open_object_store(f"s3://{bucket}/up").entries()}

    def sound() -> None:
        found = there()
        marked = found.pop(INCOMPLETE, None)
        assert marked or len(found) in (0, len(files))
        assert all(size == len(files[key]) for key, size in found.items())

    kill_and_finish(lensctl, tmp_path, 3, source, f"s3://{bucket}/up", there, sound)
    assert set(there()) == set(files)
    lensctl("sync", f"s3://{bucket}/up", "back")
    assert tree(tmp_path / "back") == files
