"""Listings of a bucket are whole, however many folders are listed at a time."""

from __future__ import annotations

from tests.toys.fake_s3 import FakeS3
from tests.toys.sync import run, tree


def test_many_folders_are_listed_side_by_side_and_wholly(fake: FakeS3, tmp_path):
    fake.objects = {f"p/q/{i % 7}/{i}": str(i).encode() for i in range(450)} | {"p/q/here": b"1"}
    run("s3://b/p", tmp_path / "target")
    assert tree(tmp_path / "target") == {key[2:]: data for key, data in fake.objects.items()}
