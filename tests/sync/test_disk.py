"""Files below a folder: links, times and room, and files that change while they are read."""

from __future__ import annotations

import errno
import os

import pytest

from lensctl.rules.errors import InputError
from lensctl.sync.disk import Disk
from tests.toys.processes import PLANTED, assert_untouched, plant
from tests.toys.sync import FILES, MIB, NOTE, fill, noise, run, tree


def test_files_keep_their_times(source, tmp_path):
    os.utime(source / "a.parquet", ns=(10**18 + 123456789, 10**18 + 123456789))
    run(source, tmp_path / "target")
    assert (tmp_path / "target/a.parquet").stat().st_mtime_ns == 10**18 + 123456789


def test_unfinished_outputs_and_notes_of_a_source_are_not_copied(source, tmp_path):
    fill(source, {".b.zarr.part/zarr.json": b"{", "images/.c.part": b"half", NOTE: b"{}\n", ".keep": b"me"})
    run(source, tmp_path / "target")
    assert tree(tmp_path / "target") == {**FILES, ".keep": b"me"}


def test_a_link_in_the_target_does_not_lead_out_of_it(source, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target/images").symlink_to(tmp_path / "elsewhere")
    outcome = run(source, tmp_path / "target")
    assert set(outcome.failed) == {"images/c/0/0", "images/c/1/0", "images/zarr.json"}
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_links_in_the_source_are_followed_but_not_in_circles(source, tmp_path):
    (source / "linked").symlink_to(source / "images")
    (source / "images/up").symlink_to(source)
    outcome = run(source, tmp_path / "target", exclude=["linked/up*"])
    assert (tmp_path / "target/linked/zarr.json").read_bytes() == b"{}"
    assert list(outcome.failed) == ["images/up"]


@pytest.mark.parametrize("places", [("source", "source/images"), ("source/images", "source"), ("source", "source")])
def test_places_that_lie_in_each_other_are_refused(source, tmp_path, places):
    with pytest.raises(InputError, match="overlap"):
        run(*(tmp_path / place for place in places))


def test_room_that_others_take_meanwhile_stops_it_before_a_large_file(tmp_path, monkeypatch):
    source = fill(tmp_path / "source", {"a": b"1", "large": noise(2 * MIB), "z": b"2"})
    room = iter([10 * MIB, MIB])
    monkeypatch.setattr(Disk, "free_bytes", lambda self: next(room))
    with pytest.raises(InputError, match=r"target: 1,048,576 bytes are free, and large needs 2,097,152"):
        run(source, tmp_path / "target", connections=1)
    monkeypatch.undo()
    assert run(source, tmp_path / "target").failed == {}


def test_a_disk_that_fills_up_stops_it_and_the_rerun_goes_on(source, tmp_path, monkeypatch):
    utime, room = os.utime, [5]

    def full(*args, **kwargs):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        utime(*args, **kwargs)

    monkeypatch.setattr(os, "utime", full)
    with pytest.raises(InputError, match="no space left"):
        run(source, tmp_path / "target", connections=1)
    monkeypatch.undo()
    kept = tree(tmp_path / "target")
    assert all(FILES[name] == data for name, data in kept.items())
    assert run(source, tmp_path / "target").copied == len(FILES) - len(kept)
    assert tree(tmp_path / "target") == FILES


def test_a_file_that_grows_while_it_is_read_is_copied_whole_or_not_at_all(source, tmp_path, monkeypatch):
    read, written = Disk.read, []

    def racing(self, entry):
        for chunk in read(self, entry):
            if entry.key == "a.parquet" and len(written) < 1:
                written.append(1)
                (source / "a.parquet").write_bytes(b"more rows")
            yield chunk

    monkeypatch.setattr(Disk, "read", racing)
    assert run(source, tmp_path / "target").failed == {}
    assert (tmp_path / "target/a.parquet").read_bytes() == b"more rows"


def test_a_file_rewritten_in_place_while_it_is_read_is_not_a_mixture(tmp_path, monkeypatch):
    old, new = b"a" * (3 * MIB), b"b" * (3 * MIB)
    source = fill(tmp_path / "source", {"big": old})
    read, written = Disk.read, []

    def racing(self, entry):
        for chunk in read(self, entry):
            yield chunk
            if not written:
                written.append((source / "big").write_bytes(new))

    monkeypatch.setattr(Disk, "read", racing)
    assert run(source, tmp_path / "target").failed == {}
    assert (tmp_path / "target/big").read_bytes() == new


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_folder_that_cannot_be_read_is_a_failure(source, tmp_path):
    (source / "images").chmod(0)
    outcome = run(source, tmp_path / "target")
    (source / "images").chmod(0o755)
    assert outcome.failed == {"images": "Permission denied"}


def test_a_file_that_never_rests_is_a_failure(source, tmp_path, monkeypatch):
    read = Disk.read

    def racing(self, entry):
        for chunk in read(self, entry):
            if entry.key == "a.parquet":
                (source / "a.parquet").write_bytes(chunk + b"!")
            yield chunk

    monkeypatch.setattr(Disk, "read", racing)
    outcome = run(source, tmp_path / "target")
    assert list(outcome.failed) == ["a.parquet"]
    assert not (tmp_path / "target/a.parquet").exists()


def test_two_at_once_do_not_meet(source, tmp_path):
    first = Disk(str(tmp_path / "target"))
    first.begin(dry_run=False)
    with pytest.raises(InputError, match="another sync"):
        run(source, tmp_path / "target")
    assert (tmp_path / "target/.lensctl-sync.part").is_dir()
    first.end()
    run(source, tmp_path / "target")
    assert tree(tmp_path / "target") == FILES


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_in_place_of_the_stage_is_named_and_not_touched(source, tmp_path, kind):
    (tmp_path / "target").mkdir()
    stage = tmp_path / "target" / ".lensctl-sync.part"
    plant(kind, stage, tmp_path / "victim")
    with pytest.raises(InputError, match=r"\.lensctl-sync\.part is in the way, and lensctl did not make it"):
        run(source, tmp_path / "target")
    assert_untouched(kind, stage, tmp_path / "victim")


def test_a_journal_that_is_a_link_is_not_followed(source, tmp_path):
    stage = tmp_path / "target" / ".lensctl-sync.part"
    stage.mkdir(parents=True)
    plant("link to a file", stage / ".lensctl-sync.jsonl", tmp_path / "victim")
    with pytest.raises(InputError, match="is in the way"):
        run(source, tmp_path / "target")
    assert_untouched("link to a file", stage / ".lensctl-sync.jsonl", tmp_path / "victim")


def test_a_disk_without_locks_is_copied_to(source, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refused)
    run(source, tmp_path / "target")
    assert tree(tmp_path / "target") == FILES
