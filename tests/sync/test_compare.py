"""What is alike is not copied again, what has rotted is found, and the good copy is kept."""

from __future__ import annotations

import os
import shutil

import pytest

from lensctl.io.storage import s3
from lensctl.sync.disk import Disk
from tests.toys.sync import FILES, NOTE, run, spoil, tree


def test_only_what_is_missing_or_differs_is_copied(source, tmp_path):
    target = tmp_path / "target"
    run(source, target)
    (source / "a.parquet").write_bytes(b"ROWS")  # same size
    (target / "images/zarr.json").unlink()
    (target / "empty").write_bytes(b"no longer")
    os.utime(target / "parts/more")  # only its time: the content is compared, and found right
    outcome = run(source, target)
    assert (outcome.copied, outcome.skipped) == (3, 5)
    assert tree(target) == {**FILES, "a.parquet": b"ROWS"}
    assert (target / "parts/more").stat().st_mtime_ns == (source / "parts/more").stat().st_mtime_ns


def test_what_stands_there_already_is_compared_and_not_copied(source, tmp_path):
    shutil.copytree(source, tmp_path / "target")
    (tmp_path / "target/a.parquet").write_bytes(b"tows")
    outcome = run(source, tmp_path / "target")
    assert (outcome.copied, outcome.skipped) == (1, 7)
    assert tree(tmp_path / "target") == FILES


def test_verify_finds_and_mends_a_flipped_bit_that_size_and_time_do_not_show(source, tmp_path):
    target = tmp_path / "target"
    run(source, target)
    spoil(target / "images/c/0/0")
    assert run(source, target).copied == 0
    told = []
    looked = run(source, target, verify=True, dry_run=True, tell=lambda *what: told.append(what))
    assert (looked.corrupt, looked.copied, told) == (["images/c/0/0"], 1, [("mend", "images/c/0/0")])
    assert tree(target) != FILES
    mended = run(source, target, verify=True)
    assert (mended.corrupt, mended.copied, mended.skipped) == (["images/c/0/0"], 1, 7)
    assert tree(target) == FILES
    assert run(source, target, verify=True).corrupt == []


def test_verify_keeps_the_good_copy_of_a_source_that_rotted(source, tmp_path, monkeypatch):
    target = tmp_path / "target"
    run(source, target)
    read = Disk.read

    def rotten(self, entry):
        chunks = list(read(self, entry))
        if self.root == source and entry.key == "a.parquet":
            return iter([b"rowz"])
        return iter(chunks)

    monkeypatch.setattr(Disk, "read", rotten)
    outcome = run(source, target, verify=True)
    assert list(outcome.failed) == ["a.parquet"]
    assert "source's content changed" in outcome.failed["a.parquet"]
    assert tree(target) == FILES


@pytest.mark.parametrize("way", ["up", "down"])
def test_without_a_ledger_etags_tell_what_is_there_already(source, tmp_path, bucket, way):
    url = f"s3://{bucket}/mirror"
    run(source, url)
    if way == "up":
        s3.client().delete_object(Bucket=bucket, Key=f"mirror/{NOTE}")
        assert run(source, url).skipped == 8
    else:
        shutil.copytree(source, tmp_path / "target")
        assert run(url, tmp_path / "target").skipped == 8


def test_verify_reads_s3_again(source, bucket, monkeypatch):
    url = f"s3://{bucket}/mirror"
    run(source, url, verify=True)
    assert run(source, url, verify=True).corrupt == []
    from lensctl.sync.bucket import Bucket

    read = Bucket.read
    monkeypatch.setattr(Bucket, "read", lambda self, e: iter([b"rowz"]) if e.key == "a.parquet" else read(self, e))
    assert run(source, url, verify=True, dry_run=True).corrupt == ["a.parquet"]
