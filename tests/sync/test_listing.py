"""Nothing is written before every name may be, something is chosen, and there is room."""

from __future__ import annotations

import shutil

import pytest

from lensctl.rules.errors import InputError
from lensctl.sync.disk import Disk
from tests.toys.fake_s3 import FakeS3
from tests.toys.sync import FILES, MIB, everything, fill, run, tree


def test_include_and_exclude_choose(source, tmp_path):
    run(source, tmp_path / "target", include=["images/*", "*.parquet"], exclude=["*/c/0/*"])
    assert sorted(tree(tmp_path / "target")) == ["a.parquet", "images/c/1/0", "images/zarr.json"]


@pytest.mark.parametrize("names", [["Lens.npz", "lens.npz"], ["x\ny"], ["tab\t"]])
def test_names_that_clash_or_hold_control_characters_stop_it_before_anything_is_written(source, tmp_path, names):
    fill(source, {f"names/{name}": b"1" for name in names})
    with pytest.raises(InputError) as caught:
        run(source, tmp_path / "target")
    assert all(repr(f"names/{name}") in str(caught.value) for name in names)
    assert not (tmp_path / "target").exists()
    (tmp_path / "target").mkdir()
    with pytest.raises(InputError):
        run(source, tmp_path / "target")
    assert everything(tmp_path / "target") == []
    run(source, tmp_path / "target", exclude=["names/*"])
    assert tree(tmp_path / "target") == FILES


@pytest.mark.parametrize(
    ("source_name", "options", "says"),
    [
        ("nowhere", {}, "nothing to copy"),
        ("hollow", {}, "nothing to copy"),
        ("hollow", {"delete": True}, "nothing to copy"),
        ("source", {"include": ["*.nothing"]}, "none of 8 objects"),
        ("source/a.parquet", {"delete": True}, "--delete"),
    ],
)
def test_nothing_to_copy_is_an_error_and_deletes_nothing(source, tmp_path, source_name, options, says):
    (tmp_path / "hollow").mkdir()
    target = fill(tmp_path / "target", {"x": b"1"})
    with pytest.raises(InputError, match=says):
        run(tmp_path / source_name, target, **options)
    assert everything(target) == ["x"]


def test_room_is_looked_at_before_anything_appears(source, tmp_path, monkeypatch):
    monkeypatch.setattr(Disk, "free_bytes", lambda self: MIB)
    with pytest.raises(InputError, match="bytes are free"):
        run(source, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_refusal_leaves_no_note_either(source, tmp_path):
    shutil.copytree(source, tmp_path / "target")
    fill(source, {"A": b"1", "a": b"2"})
    before = everything(tmp_path / "target")
    with pytest.raises(InputError, match="2 names"):
        run(source, tmp_path / "target")
    assert everything(tmp_path / "target") == before


@pytest.mark.parametrize(
    "bad",
    ["x/../../up", "/etc/cron.d/x", "a//b", "new\nline", "\x07bell", "./here", "x" * 256, "dir/not empty/"],
)
def test_a_key_that_would_land_elsewhere_is_named_and_nothing_is_written(fake: FakeS3, tmp_path, bad):
    fake.objects = {f"p/{i:04d}": b"1" for i in range(120)} | {f"p/{bad}": b"evil"}
    with pytest.raises(InputError, match="1 names are invalid") as caught:
        run("s3://b/p", tmp_path / "in" / "target")
    assert repr(bad) in str(caught.value)
    assert everything(tmp_path) == []
    assert run("s3://b/p", tmp_path / "in" / "target", include=["0*"]).copied == 120


def test_keys_that_differ_in_case_or_as_file_and_folder_are_named(fake: FakeS3, tmp_path):
    fake.objects = {f"p/{name}": b"1" for name in ("Lens", "lens", "a", "a/b", "fine")}
    with pytest.raises(InputError, match="4 names") as caught:
        run("s3://b/p", tmp_path / "target")
    assert all(repr(name) in str(caught.value) for name in ("Lens", "lens", "a", "a/b"))
    assert everything(tmp_path) == []
