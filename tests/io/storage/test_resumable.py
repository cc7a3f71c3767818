"""An output made in a working folder: by one run at a time, resumed by the same step, and nobody else's is touched."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path

import pytest

from lensctl.io.storage import resumable
from lensctl.io.storage.resumable import job, whole_folder
from lensctl.rules.errors import InputError, ServiceError, Unfinished
from tests.toys.processes import PLANTED, assert_untouched, plant

ONE, OTHER = {"command": "cutout", "size": 21}, {"command": "cutout", "size": 23}
MADE = [("a.txt", b"1")]


def begin(path: Path, identity: dict[str, object] = ONE, **options: object) -> None:
    """Begin a job and fail half-way for a reason that passes."""
    with pytest.raises(ServiceError), job(path, identity, **options) as made:  # noqa: PT012
        (made.built / "a.txt").write_bytes(b"1")
        raise ServiceError("no answer")


def finish(path: Path, identity: dict[str, object] = ONE, **options: object) -> bool:
    """Make an output; returns whether it was resumed."""
    with job(path, identity, **options) as made:
        (made.built / "a.txt").write_bytes(b"1")
        made.finish()
    return made.resumed


def once(path: Path, data: bytes = b"1", overwrite: bool = False) -> None:
    with whole_folder(path, "evaluate", overwrite) as part:
        (part / "a.txt").write_bytes(data)


def content(path: Path) -> list[tuple[str, bytes]]:
    return [(file.name, file.read_bytes()) for file in sorted(path.iterdir())]


@pytest.mark.parametrize("make", [finish, once])
@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_in_place_of_the_working_folder_is_named_and_not_touched(tmp_path, make, kind):
    plant(kind, tmp_path / ".o.part", tmp_path / "victim")
    with pytest.raises(InputError, match=r"\.o\.part is in the way of .*o, and lensctl did not make it"):
        make(tmp_path / "o")
    assert_untouched(kind, tmp_path / ".o.part", tmp_path / "victim")
    assert sorted(os.listdir(tmp_path)) == [".o.part", "victim"]


@pytest.mark.parametrize("kind", ["link to a folder", "link to a file", "link to nothing"])
@pytest.mark.parametrize("name", ["lock", "job.json", "whole", "old", "failed"])
def test_a_link_in_the_working_folder_is_not_followed(tmp_path, kind, name):
    begin(tmp_path / "o")
    place = tmp_path / ".o.part" / name
    if place.is_dir():
        (place / "a.txt").unlink()
        place.rmdir()
    place.unlink(missing_ok=True)
    plant(kind, place, tmp_path / "victim")
    with contextlib.suppress(InputError):
        finish(tmp_path / "o")
    assert [path.name for path in sorted((tmp_path / "victim").rglob("*"))] == ["kept", "0"]
    assert_untouched("folder", tmp_path / "victim" / "kept", tmp_path / "victim")


def test_the_same_step_resumes_another_is_refused_by_name(tmp_path):
    begin(tmp_path / "o")
    with pytest.raises(InputError, match="was started by another run: size was 21 and is 23") as refused:
        finish(tmp_path / "o", OTHER)
    assert "--overwrite" in refused.value.fix
    with pytest.raises(InputError, match="started by another run: command was cutout and is evaluate"):
        once(tmp_path / "o")
    assert finish(tmp_path / "o") is True
    assert (content(tmp_path / "o"), os.listdir(tmp_path)) == (MADE, ["o"])


@pytest.mark.parametrize(
    "make", [lambda path: finish(path, OTHER, overwrite=True), lambda path: once(path, b"1", True)]
)
def test_with_overwrite_another_step_begins_anew(tmp_path, make):
    begin(tmp_path / "o")
    make(tmp_path / "o")
    assert (content(tmp_path / "o"), os.listdir(tmp_path)) == (MADE, ["o"])


@pytest.mark.parametrize(("error", "stands"), [(InputError("bad row"), False), (KeyError("bug"), False),
                                               (Unfinished("parts"), True), (OSError(errno.ENOSPC, "full"), True),
                                               (KeyboardInterrupt(), True)])  # fmt: skip
def test_work_that_failed_by_its_input_does_not_stand_in_the_way_of_the_mended_one(tmp_path, error, stands):
    with pytest.raises(type(error)), job(tmp_path / "o", ONE):
        raise error
    if stands:
        with pytest.raises(InputError, match="was started by another run"):
            finish(tmp_path / "o", OTHER)
        assert finish(tmp_path / "o") is True
    else:
        assert finish(tmp_path / "o", OTHER) is False
    assert os.listdir(tmp_path) == ["o"]


def test_work_that_failed_by_its_input_is_still_resumed_by_the_same_step_and_then_stands_again(tmp_path):
    with pytest.raises(InputError), job(tmp_path / "o", ONE):
        raise InputError("bad")
    begin(tmp_path / "o")
    with pytest.raises(InputError, match="was started by another run"):
        finish(tmp_path / "o", OTHER)
    assert finish(tmp_path / "o") is True


def test_a_second_run_is_refused_with_the_name_of_the_first_and_does_not_disturb_it(tmp_path):
    for make in (finish, once):
        with job(tmp_path / "o", ONE) as made:
            (made.built / "a.txt").write_bytes(b"1")
            with pytest.raises(InputError, match=r"is being made by another process \(lensctl cutout\)"):
                make(tmp_path / "o")
            made.finish()
        assert content(tmp_path / "o") == MADE
        (tmp_path / "o" / "a.txt").unlink()
        (tmp_path / "o").rmdir()
    with whole_folder(tmp_path / "o", "evaluate"), pytest.raises(InputError, match=r"\(lensctl evaluate\)"):
        once(tmp_path / "o", overwrite=True)


def test_an_output_made_meanwhile_is_not_replaced(tmp_path):
    for kind in ("folder", "file", "empty"):
        path = tmp_path / kind
        with pytest.raises(InputError, match="exists"), whole_folder(path, "evaluate"):  # noqa: PT012
            path.write_bytes(b"2") if kind == "file" else path.mkdir()
            if kind == "folder":
                (path / "theirs").write_bytes(b"2")
    assert content(tmp_path / "folder") == [("theirs", b"2")]
    assert (tmp_path / "file").read_bytes() == b"2"
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "folder"]


def test_what_is_replaced_is_there_again_if_that_fails_or_is_killed(tmp_path, monkeypatch):
    path = tmp_path / "o"
    once(path)

    def fails(*_):
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as broken:
        broken.setattr("lensctl.io.storage.working_folders.rename_to_free", fails)
        with pytest.raises(OSError, match="no"):
            once(path, b"2", True)
    assert (content(path), os.listdir(tmp_path)) == (MADE, ["o"])

    with pytest.raises(ServiceError), job(path, ONE, overwrite=True) as made:  # noqa: PT012
        os.rename(path, made.folder / "old")  # killed between the two renames
        raise ServiceError("killed")
    assert not path.exists()
    with pytest.raises(InputError, match="exists"):
        finish(path, OTHER)
    assert content(path) == MADE
    finish(path, OTHER, overwrite=True)
    assert os.listdir(tmp_path) == ["o"]


def test_a_link_to_a_folder_is_replaced_itself(tmp_path):
    plant("link to a folder", tmp_path / "o", tmp_path / "victim")
    with pytest.raises(InputError, match="exists"):
        once(tmp_path / "o")
    once(tmp_path / "o", overwrite=True)
    assert not (tmp_path / "o").is_symlink()
    assert content(tmp_path / "o") == MADE
    assert_untouched("folder", tmp_path / "victim" / "kept", tmp_path / "victim")


def test_what_0_1_0_left_is_resumed(tmp_path):
    folder = tmp_path / ".o.part"
    (folder / "whole").mkdir(parents=True)
    (folder / "whole" / "a.txt").write_bytes(b"1")
    for name in ("lock", "begin", ".job.json.part"):
        (folder / name).touch()
    (folder / "job.json").write_text(json.dumps(ONE, indent=1, sort_keys=True) + "\n")
    with pytest.raises(InputError, match="was started by another run: size was 21 and is 23"):
        finish(tmp_path / "o", OTHER)
    assert finish(tmp_path / "o") is True
    assert os.listdir(tmp_path) == ["o"]


def test_parts_left_in_the_folder_by_killed_writers_are_not_published(tmp_path):
    with job(tmp_path / "o", ONE) as made:
        (made.built / "a.txt").write_bytes(b"1")
        (made.built / ".best.safetensors.0123abcd.part").write_bytes(b"half")
        made.finish()
    assert content(tmp_path / "o") == MADE


def test_a_disk_without_locks_is_a_sentence_and_nothing_stays(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refused)
    for make in (finish, once):
        with pytest.raises(InputError, match="this file system has no locks"):
            make(tmp_path / "o")
    assert os.listdir(tmp_path) == []


def test_mode_of_a_folder_is_that_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        once(tmp_path / "o")
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "o", tmp_path / "o/a.txt")] == ["0o750", "0o640"]


def test_a_difference_is_named(tmp_path):
    assert resumable.difference(ONE, OTHER) == "size was 21 and is 23"


def test_without_a_home_folder_it_is_said_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is a number."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match=r"no home folder to build s3://bucket/a\.zarr in") as caught:
        resumable.workplace("s3://bucket/a.zarr")
    assert "XDG_CACHE_HOME" in caught.value.fix
