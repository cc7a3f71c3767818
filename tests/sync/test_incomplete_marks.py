"""A folder that is not whole is marked until it is, on disk and on S3."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.io.storage.growing_folders import begin_folder
from lensctl.io.storage.incomplete import INCOMPLETE
from lensctl.io.tables.paths import files_of
from lensctl.rules.errors import InputError
from lensctl.sync.places import open_object_store
from tests.toys.fake_s3 import FakeS3
from tests.toys.sync import FILES, fill, noise, run


def test_a_folder_is_marked_until_all_of_it_is_copied(source, tmp_path):
    target = tmp_path / "target"
    (source / "a.parquet").unlink()
    pq.write_table(pa.table({"x": [1]}), source / "a.parquet")
    blocked = fill(target, {"images/zarr.json/in the way": b""})
    assert list(run(source, target).failed) == ["images/zarr.json"]
    with pytest.raises(InputError, match="is incomplete"):
        files_of(str(target))
    shutil.rmtree(blocked / "images/zarr.json")
    assert run(source, target).failed == {}
    assert not (target / INCOMPLETE).exists()
    assert files_of(str(target)) == [str(target / "a.parquet")]


def test_on_s3_the_mark_is_there_before_and_gone_after(fake: FakeS3, source):
    fill(source, {f"z/{INCOMPLETE}": b"grows"})
    puts = []
    fake.fault = lambda method, key, n: puts.append(key) if method == "PUT" else None
    assert run(source, "s3://b/up").failed == {}
    assert puts[:2] == [f"up/{INCOMPLETE}", f"up/z/{INCOMPLETE}"]
    assert f"up/{INCOMPLETE}" not in fake.objects
    assert f"up/z/{INCOMPLETE}" in fake.objects
    assert run(source, "s3://b/up").copied == 0
    (source / "z" / INCOMPLETE).unlink()
    assert run(source, "s3://b/up").copied == 0
    assert not [key for key in fake.objects if INCOMPLETE in key]


def test_part_of_a_folder_marks_nothing(source, tmp_path):
    fill(tmp_path / "target", {"a.parquet/in the way": b""})
    assert run(source, tmp_path / "target", include=["a.parquet"]).failed
    assert run(source / "a.parquet", tmp_path / "target").failed
    assert not (tmp_path / "target" / INCOMPLETE).exists()


def test_a_dry_run_lifts_no_mark(source, tmp_path):
    fill(tmp_path / "target", {**FILES, INCOMPLETE: b"as it was"})
    fill(source, {f"images/{INCOMPLETE}": b"grows"})
    run(source, tmp_path / "target", dry_run=True)
    assert (tmp_path / "target" / INCOMPLETE).read_bytes() == b"as it was"
    run(source, tmp_path / "target")
    assert not (tmp_path / "target" / INCOMPLETE).exists()


@pytest.mark.parametrize("far", [True, False])
def test_what_still_grows_on_s3_is_copied_as_not_whole_until_it_is(bucket, tmp_path, far):
    url, target = f"s3://{bucket}/grows", f"s3://{bucket}/mirror" if far else str(tmp_path / "mirror")
    piece = fill(tmp_path / "made", {"images/c/0": noise(1000), "images/c/1": noise(1000, 1), "index.parquet": b"rows"})
    with begin_folder(f"{url}/store", {"made": "by a test"}) as place:
        place.take(piece / "images/c/0", "images/c/0")
        place.put_part("0", b"noted")
        outcome = run(url, target)
        assert (outcome.failed, outcome.growing) == ({}, ["store"])
        assert held(target) == ["store/_INCOMPLETE", "store/_parts/0", "store/images/c/0"]
        place.take(piece / "images/c/1", "images/c/1")
        place.take(piece / "index.parquet", "index.parquet")
        place.finish()
    outcome = run(url, target)
    assert (outcome.failed, outcome.growing, outcome.copied) == ({}, [], 2)
    assert held(target) == ["store/images/c/0", "store/images/c/1", "store/index.parquet"]


def held(place: str) -> list[str]:
    return sorted(entry.key for entry in open_object_store(place).entries())
