"""A file is whole or absent, under nobody else's name; what others left or planted is not touched."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lensctl.io.storage import atomic, renames
from lensctl.io.storage.atomic import refuse_outputs, refuse_same, replace_file, whole_file
from lensctl.rules.errors import InputError
from tests.toys.processes import PLANTED, VICTIM, assert_untouched, plant


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def write(path: Path, data: bytes, overwrite: bool = False) -> None:
    with whole_file(path, overwrite) as part:
        part.write_bytes(data)


@pytest.fixture
def left(tmp_path):
    """The part of `o.txt` that a killed process left."""
    code = (
        "import os, signal, sys; from lensctl.io.storage.atomic import whole_file\n"
        "with whole_file(sys.argv[1]) as part:\n part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "o.txt")], check=False)
    assert done.returncode == -signal.SIGKILL
    (part,) = tmp_path.iterdir()
    return part


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_the_mode_is_that_of_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write(tmp_path / "o.txt", b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "o.txt").stat().st_mode) == 0o666 & ~umask


def test_of_two_at_once_one_succeeds_and_the_file_is_its(tmp_path):
    path = tmp_path / "o.txt"
    with pytest.raises(InputError, match="exists"), whole_file(path) as part:  # noqa: PT012
        part.write_bytes(b"first")
        write(path, b"second")
        assert path.read_bytes() == b"second"
    assert (path.read_bytes(), names(tmp_path)) == (b"second", ["o.txt"])


def test_with_overwrite_the_last_wins_whole(tmp_path):
    path = tmp_path / "o.txt"
    with whole_file(path, True) as part:
        part.write_bytes(b"first")
        write(path, b"second", True)
        assert path.read_bytes() == b"second"
    assert (path.read_bytes(), names(tmp_path)) == (b"first", ["o.txt"])


@pytest.mark.parametrize("missing", ["renames", "renames and links"])
def test_without_exclusive_renames_links_or_a_check_do(tmp_path, monkeypatch, missing):
    def refused(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(renames, "_renamed", lambda *_: False)
    if missing == "renames and links":
        monkeypatch.setattr(os, "link", refused)
    test_of_two_at_once_one_succeeds_and_the_file_is_its(tmp_path)
    (tmp_path / "o.txt").unlink()
    write(tmp_path / "o.txt", b"again")
    assert (names(tmp_path), (tmp_path / "o.txt").stat().st_nlink) == (["o.txt"], 1)


def test_what_a_killed_run_left_is_removed_by_the_next(left):
    assert left.name.startswith(".o.txt.")
    write(left.with_name("p.txt"), b"another output")
    assert names(left.parent) == [left.name, "p.txt"]
    write(left.with_name("o.txt"), b"1")
    assert names(left.parent) == ["o.txt", "p.txt"]


def test_what_another_run_is_writing_is_not_removed(tmp_path):
    path = tmp_path / "o.txt"
    with whole_file(path, True) as part:
        part.write_bytes(b"mine")
        write(path, b"theirs", True)
        assert part.read_bytes() == b"mine"


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("name", [".o.txt.part", ".o.txt.0123abcd.part"])
def test_what_is_planted_beside_it_is_not_followed_and_not_removed(tmp_path, monkeypatch, kind, name):
    if (kind, name) == ("file", ".o.txt.0123abcd.part"):
        pytest.skip("a file of such a name that nobody holds is what a killed run left")
    plant(kind, tmp_path / name, tmp_path / "victim")
    drawn = iter(["0123abcd", "89abcdef"])
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda _: next(drawn))
    write(tmp_path / "o.txt", b"1")
    assert (tmp_path / "o.txt").read_bytes() == b"1"
    assert_untouched(kind, tmp_path / name, tmp_path / "victim")


def test_an_output_that_is_a_link_is_replaced_itself_or_refused(tmp_path):
    (tmp_path / "victim").write_bytes(VICTIM)
    for name, target in (("o.txt", "victim"), ("p.txt", "nothing")):
        (tmp_path / name).symlink_to(tmp_path / target)
        with pytest.raises(InputError, match="exists"):
            write(tmp_path / name, b"1")
        write(tmp_path / name, b"1", True)
    assert (tmp_path / "victim").read_bytes() == VICTIM
    assert names(tmp_path) == ["o.txt", "p.txt", "victim"]


def test_a_folder_or_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, said in ((tmp_path, "is a folder"), (tmp_path / "pipe", "is not a file"), (Path(os.devnull), "not a")):
        with pytest.raises(InputError, match=said):
            write(path, b"1", True)
    assert names(tmp_path) == ["pipe"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "o.txt"
    write(path, b"1")
    with pytest.raises(KeyError), whole_file(path, True) as part:  # noqa: PT012
        part.write_bytes(b"2")
        raise KeyError
    assert (path.read_bytes(), names(tmp_path)) == (b"1", ["o.txt"])


def test_a_disk_without_locks_does_not_keep_a_file_from_being_written(left, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refused)
    write(left.with_name("o.txt"), b"1")
    assert names(left.parent) == sorted([left.name, "o.txt"]), "whose it is cannot be known"


def test_two_outputs_of_one_name_are_refused(tmp_path):
    (tmp_path / "again").symlink_to(tmp_path)
    for beside in (tmp_path / "o.txt", tmp_path / "again" / "o.txt"):
        with pytest.raises(InputError, match="is named for two outputs"):
            refuse_outputs(tmp_path / "o.txt", beside, overwrite=True)
    with pytest.raises(InputError, match="is named for two outputs"):
        refuse_same("s3://b/o.txt", "s3://b/o.txt")
    with pytest.raises(InputError, match="through a pipe"):
        refuse_outputs("-", "-", overwrite=False)
    refuse_outputs(tmp_path / "o.txt", tmp_path / "p.txt", overwrite=False)


def test_a_small_file_is_replaced_over_what_a_killed_run_left_but_not_through_a_link(tmp_path):
    (tmp_path / ".a.json.part").write_bytes(b"longer than what comes")
    replace_file(tmp_path / "a.json", [b"1", b"2"])
    assert ((tmp_path / "a.json").read_bytes(), names(tmp_path)) == (b"12", ["a.json"])
    plant("link to a file", tmp_path / ".a.json.part", tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        replace_file(tmp_path / "a.json", [b"3"])
    assert_untouched("link to a file", tmp_path / ".a.json.part", tmp_path / "victim")
