"""Objects on S3: what a prefix holds, uploads in parts, reads by ranges."""

from __future__ import annotations

import errno

import pytest

from lensctl.io.storage import s3
from lensctl.io.storage.incomplete import INCOMPLETE
from lensctl.rules.errors import InputError, LensctlError
from lensctl.sync import FAILURES, bucket
from lensctl.sync.disk import Disk
from lensctl.sync.places import open_object_store
from tests.toys.fake_s3 import FakeS3
from tests.toys.sync import MIB, NOTE, fill, noise, run, tree

LARGE = {"exactly": noise(8 * MIB, 5), "more": noise(8 * MIB + 1, 6), "three": noise(17 * MIB + 12345, 7)}


def test_large_objects_go_up_in_parts_and_come_back(tmp_path, bucket):
    source = fill(tmp_path / "large", LARGE)
    assert run(source, f"s3://{bucket}/up").failed == {}
    across = run(f"s3://{bucket}/up", f"s3://{bucket}/across", verify=True)
    assert (across.copied, across.failed) == (3, {})
    etags = {entry.key: entry.etag for entry in open_object_store(f"s3://{bucket}/up").entries()}
    assert {key: etag.partition("-")[2] for key, etag in etags.items()} == {"exactly": "", "more": "2", "three": "3"}
    run(f"s3://{bucket}/across", tmp_path / "back")
    assert tree(tmp_path / "back") == LARGE
    s3.client().delete_object(Bucket=bucket, Key=f"up/{NOTE}")
    assert run(source, f"s3://{bucket}/up").skipped == 3
    assert "Uploads" not in s3.client().list_multipart_uploads(Bucket=bucket)


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path, bucket, monkeypatch):
    source = fill(tmp_path / "large", {"three": LARGE["three"]})
    read = Disk.read

    def breaking(self, entry):
        for i, chunk in enumerate(read(self, entry)):
            if i == 16:
                raise OSError(errno.EIO, "Input/output error")
            yield chunk

    monkeypatch.setattr(Disk, "read", breaking)
    assert run(source, f"s3://{bucket}/up").failed == {"three": "Input/output error"}
    client = s3.client()
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    left = [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == [f"up/{FAILURES}", f"up/{INCOMPLETE}"]


def test_one_object_and_marks_of_empty_folders(tmp_path, bucket):
    client = s3.client()
    client.put_object(Bucket=bucket, Key="made/rows.parquet", Body=b"rows")
    client.put_object(Bucket=bucket, Key="made/folder/", Body=b"")
    run(f"s3://{bucket}/made/rows.parquet", tmp_path / "one")
    assert tree(tmp_path / "one") == {"rows.parquet": b"rows"}
    run(f"s3://{bucket}/made", tmp_path / "all")
    assert tree(tmp_path / "all") == {"rows.parquet": b"rows"}


def test_a_prefix_ends_at_a_slash(tmp_path, bucket):
    for key in ("made/x", "made-not/y", "made2"):
        s3.client().put_object(Bucket=bucket, Key=key, Body=b"1")
    run(f"s3://{bucket}/made", tmp_path / "target")
    assert tree(tmp_path / "target") == {"x": b"1"}


@pytest.mark.parametrize(
    ("there", "says"), [("s3://no-bucket-of-this-name/x", "no such bucket"), ("s3://{}/nothing", "nothing to copy")]
)
def test_a_source_that_is_not_there(tmp_path, bucket, there, says):
    with pytest.raises(InputError, match=says):
        run(there.format(bucket), tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_target_bucket_that_is_not_there(source, bucket):
    with pytest.raises(LensctlError, match="no such bucket"):
        run(source, "s3://no-bucket-of-this-name/x")


def test_places_on_s3_that_lie_in_each_other_are_refused(bucket):
    with pytest.raises(InputError, match="overlap"):
        run(f"s3://{bucket}/a", f"s3a://{bucket}/a/b")


@pytest.fixture
def small_ranges(monkeypatch):
    """Objects of more than 2 MiB come in ranges of 1 MiB."""
    monkeypatch.setattr(bucket, "RANGE_BYTES", MIB)
    monkeypatch.setattr(bucket, "STREAM_BYTES", MIB // 4)


@pytest.mark.parametrize("fault", [None, "slowdown", "reset", "short", "flip"])
def test_a_large_object_comes_by_ranges_whatever_happens_on_the_way(fake: FakeS3, tmp_path, small_ranges, fault):
    fake.objects = {"p/large": noise(5 * MIB + 77)}
    fake.fault = lambda method, key, n: fault if method == "GET" and key and n in (1, 3) else None
    assert run("s3://b/p", tmp_path / "target").failed == {}
    assert tree(tmp_path / "target") == {"large": fake.objects["p/large"]}
    assert fake.asked["GET", "p/large"] >= 6, "six ranges"


def test_more_large_objects_than_may_come_by_ranges_come_too(fake: FakeS3, tmp_path, small_ranges):
    fake.objects = {f"p/{i}": noise(3 * MIB + i, i) for i in range(3 * bucket.RANGED_READS)}
    assert run("s3://b/p", tmp_path / "target").failed == {}
    assert tree(tmp_path / "target") == {key[2:]: data for key, data in fake.objects.items()}


def test_a_server_that_ignores_range_is_read_in_one_piece(fake: FakeS3, tmp_path, small_ranges):
    fake.objects = {"p/large": noise(5 * MIB + 77)}
    fake.fault = lambda method, key, n: "whole"
    assert run("s3://b/p", tmp_path / "target").failed == {}
    assert tree(tmp_path / "target") == {"large": fake.objects["p/large"]}
    assert fake.asked["GET", "p/large"] == 2
