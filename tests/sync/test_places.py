"""The object store that a path names: a folder, one file, a glob."""

from __future__ import annotations

import pytest

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
