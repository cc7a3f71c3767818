"""Temporary folders: gone with their block, kept while their process lives, removed after it was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from lensctl.io import claims, temporary
from lensctl.io.temporary import temporary_folder

HOLDS = """
import sys, time
from lensctl.io.temporary import temporary_folder
with temporary_folder("test") as folder:
    (folder / "large").write_text("content")
    print(folder, flush=True)
    time.sleep(60)
"""
SPILLS = """
import threading, time
from pathlib import Path
from lensctl.io.tables.sql import Database

def tell():
    while not any(Path(".").glob("lensctl-sql-*/content/*")):
        time.sleep(0.02)
    print("spills", flush=True)

threading.Thread(target=tell, daemon=True).start()
with Database(threads=1, memory_mb_per_thread=60) as database:
    database._connection.execute("CREATE TABLE t AS SELECT hash(range) AS h FROM range(200_000_000) ORDER BY h")
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The folder for temporary files, in which nothing has been looked for yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary._remove_abandoned_once.cache_clear()
    yield tmp_path
    temporary._remove_abandoned_once.cache_clear()


@pytest.fixture
def killed(place):
    """Run a script, and kill it once it has said something."""

    def run(script):
        line = [sys.executable, "-c", script]
        env = {**os.environ, "TMPDIR": str(place)}
        running = subprocess.Popen(line, cwd=place, env=env, stdout=subprocess.PIPE, text=True)
        assert running.stdout.readline()
        running.kill()
        running.communicate()

    return run


def test_a_folder_is_empty_named_for_its_purpose_and_gone_with_its_block(place):
    with temporary_folder("test") as folder:
        assert list(folder.iterdir()) == []
        assert folder.relative_to(place).parts[0].startswith("lensctl-test-")
        (folder / "file").touch()
    assert list(place.iterdir()) == []


def test_a_folder_goes_when_its_block_fails(place):
    with pytest.raises(KeyboardInterrupt), temporary_folder("test"):
        raise KeyboardInterrupt
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("script", [HOLDS, SPILLS], ids=["folder", "database"])
def test_the_folder_of_a_killed_process_goes_with_the_next_one(script, killed, place):
    killed(script)
    assert len(list(place.iterdir())) == 1
    with temporary_folder("next") as folder:
        assert list(place.iterdir()) == [folder.parent]


def test_the_folder_of_a_living_process_stays(place):
    with temporary_folder("first") as first:
        temporary.remove_abandoned()
        assert first.is_dir()


def test_what_is_not_ours_stays(place):
    """Files, links and folders of other names, however alike."""
    away = place / "away"
    away.mkdir()
    (away / "file").touch()
    (place / "lensctl-mine").mkdir()
    (place / "mine.tmp").mkdir()
    (place / "lensctl-a.tmp").touch()
    (place / "lensctl-b.tmp").symlink_to(away, target_is_directory=True)
    (place / "lensctl-c.tmp").mkdir()
    (place / "lensctl-c.tmp" / "lock").symlink_to(away / "file")
    before = sorted(place.rglob("*"))
    temporary.remove_abandoned()
    assert sorted(place.rglob("*")) == before


def test_where_there_are_no_locks_nothing_is_taken_for_abandoned(killed, place, monkeypatch):
    def without(handle, path):
        raise claims.NoLocks("no locks")

    killed(HOLDS)
    monkeypatch.setattr(claims, "claim", without)
    with temporary_folder("test") as folder:
        assert folder.is_dir()
        assert len(list(place.iterdir())) == 2


def test_a_folder_that_another_process_takes_for_abandoned_is_made_again(place, monkeypatch):
    """It can be removed between its making and its locking."""
    made, opened = tempfile.mkdtemp, []

    def removed_at_once(**names):
        folder = made(**names)
        if not opened:
            opened.append(folder)
            temporary.remove_abandoned()
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", removed_at_once)
    with temporary_folder("test") as folder:
        assert folder.is_dir()
        assert str(folder.parent) not in opened
