"""A whole sync, on disk and over a hostile S3: what is copied, deleted, asked for again, and said to have failed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading

import pytest

from lensctl.io.storage import s3
from lensctl.sync import FAILURES
from lensctl.sync.disk import Disk
from lensctl.sync.places import open_object_store
from tests.toys.fake_s3 import FakeS3
from tests.toys.sync import FILES, NOTE, fill, noise, run, tree


def test_disk_to_disk_and_again_there_is_nothing_to_do(source, tmp_path):
    first = run(source, tmp_path / "target")
    assert tree(tmp_path / "target") == FILES
    assert (first.objects, first.copied, first.skipped, first.failed) == (8, 8, 0, {})
    assert first.bytes == first.copied_bytes == sum(map(len, FILES.values()))
    notes = (tmp_path / "target" / NOTE).stat().st_mtime_ns
    again = run(source, tmp_path / "target")
    assert (again.copied, again.skipped) == (0, 8)
    assert (tmp_path / "target" / NOTE).stat().st_mtime_ns == notes
    assert not (tmp_path / "target" / ".lensctl-sync.part").exists()


def test_delete_removes_what_the_source_lacks_but_nothing_left_out(source, tmp_path):
    target = fill(tmp_path / "target", {"old/x.npz": b"1", "old/keep.csv": b"2", ".b.part/x": b"3", "gone.npz": b"4"})
    run(source, target)
    assert "gone.npz" in tree(target)
    told = []
    dry = run(source, target, delete=True, exclude=["*.csv"], dry_run=True, tell=lambda *what: told.append(what))
    assert (dry.deleted, told) == (2, [("delete", "gone.npz"), ("delete", "old/x.npz")])
    assert run(source, target, delete=True, exclude=["*.csv"]).deleted == 2
    assert tree(target) == {**FILES, "old/keep.csv": b"2", ".b.part/x": b"3"}
    run(source, target, delete=True)
    assert not (target / "old").exists()
    (source / "empty").unlink()
    run(source, target, delete=True)
    assert not (target / "empty").exists()
    assert "empty" not in (target / NOTE).read_text()


def test_nothing_is_deleted_after_a_failure(source, tmp_path):
    target = fill(tmp_path / "target", {"extra": b"1", "a.parquet/in the way": b"2"})
    outcome = run(source, target, delete=True)
    assert list(outcome.failed) == ["a.parquet"]
    assert outcome.deleted == 0
    assert (target / "extra").exists()


def test_a_failure_is_listed_and_the_rest_is_copied_and_later_the_list_goes(source, tmp_path):
    target = fill(tmp_path / "target", {"a.parquet/in the way": b"2"})
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    outcome = run(source, target)
    assert set(outcome.failed) == {"a.parquet", "dangling", "pipe"}
    assert outcome.copied == len(FILES) - 1
    listed = [json.loads(line) for line in (target / FAILURES).read_text().splitlines()]
    assert {line["key"]: line["reason"] for line in listed} == outcome.failed
    shutil.rmtree(target / "a.parquet")
    (source / "dangling").unlink()
    (source / "pipe").unlink()
    assert run(source, target).failed == {}
    assert not (target / FAILURES).exists()
    assert tree(target) == FILES


def test_a_dry_run_writes_nothing(source, tmp_path):
    told = []
    outcome = run(source, tmp_path / "target", dry_run=True, tell=lambda *what: told.append(what))
    assert outcome.copied == 8
    assert sorted(told) == [("copy", key) for key in sorted(FILES)]
    assert not (tmp_path / "target").exists()


def test_nothing_appears_while_names_are_still_being_listed(source, tmp_path, monkeypatch):
    entries, seen = Disk.entries, []

    def slow(self):
        for entry in entries(self):
            yield entry
            if self.root == source:
                threading.Event().wait(0.02)
                seen.append(len(tree(tmp_path / "target")))

    monkeypatch.setattr(Disk, "entries", slow)
    run(source, tmp_path / "target")
    assert seen == [0] * len(FILES)
    assert tree(tmp_path / "target") == FILES


def test_there_and_back_again(source, tmp_path, bucket):
    url = f"s3://{bucket}/mirror"
    up = run(source, url)
    assert (up.copied, up.failed) == (8, {})
    assert run(source, url).copied == 0
    across = run(f"s3a://{bucket}/mirror", f"s3://{bucket}/second/")
    assert (across.copied, across.failed) == (8, {})
    assert run(url, f"s3://{bucket}/second").skipped == 8
    down = run(f"s3://{bucket}/second", tmp_path / "back")
    assert (down.copied, down.failed) == (8, {})
    assert tree(tmp_path / "back") == FILES
    assert run(f"s3://{bucket}/second", tmp_path / "back").copied == 0
    sums = [
        {json.loads(line)["key"]: json.loads(line)["digest"] for line in place.read_note(NOTE)}
        for place in map(open_object_store, (url, f"s3://{bucket}/second", str(tmp_path / "back")))
    ]
    assert sums[0] == sums[1] == sums[2] == {key: f"md5:{hashlib.md5(data).hexdigest()}" for key, data in FILES.items()}


def test_on_s3_too_only_what_differs_is_copied_and_deleted(source, bucket):
    url = f"s3://{bucket}/mirror"
    run(source, url)
    (source / "a.parquet").write_bytes(b"ROWS")
    (source / "empty").unlink()
    s3.client().put_object(Bucket=bucket, Key="mirror/images/zarr.json", Body=b"[]")
    outcome = run(source, url, delete=True)
    assert (outcome.copied, outcome.skipped, outcome.deleted) == (2, 5, 1)
    listed = {entry.key for entry in open_object_store(url).entries()}
    assert listed == set(FILES) - {"empty"}


@pytest.mark.parametrize("fault", ["slowdown", "reset", "short", "flip"])
def test_what_fails_in_passing_is_asked_for_again(fake: FakeS3, tmp_path, fault):
    fake.objects = {f"p/{i}": noise(50_000, i) for i in range(4)}
    fake.fault = lambda method, key, n: fault if n == 0 and (key or fault in ("slowdown", "reset")) else None
    outcome = run("s3://b/p", tmp_path / "target")
    assert outcome.failed == {}
    assert tree(tmp_path / "target") == {key[2:]: data for key, data in fake.objects.items()}


@pytest.mark.parametrize("fault", ["flip", "flutter"])
def test_bytes_that_never_fit_their_etag_are_a_failure_and_leave_no_file(fake: FakeS3, tmp_path, fault):
    fake.objects = {f"p/{i}": noise(1000, i) for i in range(5)}
    fake.fault = lambda method, key, n: fault if key == "p/4" else None
    outcome = run("s3://b/p", tmp_path / "target", connections=1)
    assert list(outcome.failed) == ["4"]
    assert sorted(tree(tmp_path / "target")) == ["0", "1", "2", "3"]


def test_an_object_that_s3_says_is_encrypted_need_not_fit_its_etag(fake: FakeS3, tmp_path):
    fake.objects = {"p/0": b"plain", "p/1": b"sealed", "p/2": b"plain too"}
    fake.etag = lambda data: hashlib.md5(data.replace(b"sealed", b"?")).hexdigest()
    fake.sealed = {"p/1"}
    assert run("s3://b/p", tmp_path / "target", connections=1).failed == {}
    assert tree(tmp_path / "target")["1"] == b"sealed"


def test_a_bucket_whose_etags_are_no_digests_works_both_ways(fake: FakeS3, source, tmp_path):
    fake.etag = lambda data: hashlib.md5(b"key" + data).hexdigest()
    small = ["a.parquet", "empty", "odd/*", "*.json"]
    assert run(source, "s3://b/up", include=small).failed == {}
    down = run("s3://b/up", tmp_path / "target")
    assert (down.copied, down.failed) == (4, {})
    assert run("s3://b/up", tmp_path / "target").skipped == 4


def test_an_upload_that_arrives_changed_is_removed_and_a_failure(fake: FakeS3, source):
    class Lossy(dict):
        def __setitem__(self, key, data):
            super().__setitem__(key, data[:-1] + b"?" if key.endswith("a.parquet") else data)

    fake.objects = Lossy()
    outcome = run(source, "s3://b/up", include=["a.parquet", "*.json"])
    assert list(outcome.failed) == ["a.parquet"]
    assert "up/a.parquet" not in fake.objects
    assert fake.objects["up/images/zarr.json"] == b"{}"
