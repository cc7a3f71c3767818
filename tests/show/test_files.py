"""Files that are none of ours are described."""

from __future__ import annotations

import shutil

from lensctl.show.identify import identify


def test_what_is_none_of_ours_is_described(tmp_path):
    import zarr

    (tmp_path / "notes.txt").write_text("one\ntwo\n")
    (tmp_path / "raw.bin").write_bytes(bytes(range(256)))
    (tmp_path / "empty").touch()
    (tmp_path / "some.json").write_text('{"a": 1, "b": [2]}')
    zarr.create_array(str(tmp_path / "z.zarr"), shape=(3,), dtype="f4")
    kinds = {name: identify(str(tmp_path / name)) for name in ("notes.txt", "raw.bin", "empty", "some.json", "z.zarr")}
    assert [facts.kind for facts in kinds.values()] == ["text", "binary file", "empty file", "JSON", "Zarr"]
    assert kinds["notes.txt"].values["lines"] == 2
    assert kinds["z.zarr"].values["shape"] == [3]
    shutil.rmtree(tmp_path / "z.zarr")
    folder = identify(str(tmp_path))
    assert (folder.kind, folder.values["files"]) == ("folder", 4)
