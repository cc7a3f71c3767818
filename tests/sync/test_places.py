"""The object store that a path names: a folder, one file, a glob."""

from __future__ import annotations

import pytest

from lensctl.io.storage import s3
from lensctl.rules.errors import InputError
from tests.toys.sync import run, tree


def test_one_file_and_a_glob_are_sources_too(source, tmp_path):
    run(source / "images/zarr.json", tmp_path / "one")
    assert tree(tmp_path / "one") == {"zarr.json": b"{}"}
    run(f"{source}/images/c/*/0", tmp_path / "glob")
    assert sorted(tree(tmp_path / "glob")) == ["0/0", "1/0"]


def test_a_file_is_no_target(source, tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(InputError, match="is a file"):
        run(source, tmp_path / "file")


def test_a_key_or_prefix_that_exists_is_that_one_and_another_is_a_glob(tmp_path, bucket):
    for key in ("a[1].txt", "a1.txt", "d?*/x [y].txt", "d?*/z", "dab/z"):
        s3.client().put_object(Bucket=bucket, Key=key, Body=key.encode())
    for source, found in {
        "a[1].txt": ["a[1].txt"],
        "a[12].txt": ["a1.txt"],
        "d?*": ["x [y].txt", "z"],
        "d?*/x [y].txt": ["x [y].txt"],
        "d?*/z": ["z"],
        "d?b/*": ["dab/z"],
    }.items():
        target = tmp_path / source.replace("/", ",")
        run(f"s3://{bucket}/{source}", target)
        copied = tree(target)
        assert list(copied) == found, source
        assert all(body.decode().endswith(key) for key, body in copied.items())
    run(f"s3://{bucket}/d?*", f"s3://{bucket}/[to]")
    run(f"s3://{bucket}/[to]", tmp_path / "back")
    assert list(tree(tmp_path / "back")) == ["x [y].txt", "z"]
