"""A manifest's cutouts lie below its root: what leads out, or is no file, is refused before it is opened."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.io.cutouts.cutout_paths import located, refuse_link_out, relative
from lensctl.io.cutouts.listing import listing
from lensctl.rules.errors import InputError
from tests.toys.pixels import ids, images, make_store

OUT = "leads out of"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a store, beside another that is nobody's business."""
    for name in ("root/a.zarr", "other/b.zarr"):
        (tmp_path / name).parent.mkdir()
        make_store(tmp_path / name, images(3))
    return tmp_path / "root"


def cutouts(root: Path, path: str, index: int | None = 0) -> Cutouts:
    columns = {"galaxy_id": ids(1), "cutout_path": [path], "cutout_index": pa.array([index], pa.int64())}
    return Cutouts(pa.table(columns), root)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../other/b.zarr", OUT),
        ("a.zarr/../../other/b.zarr", OUT),
        ("/etc/hostname", OUT),
        ("..", OUT),
        ("s3://bucket/b.zarr", OUT),
        ("a.zarr\0", "is not a path"),
        ("", "is not a path"),
    ],
)
@pytest.mark.parametrize("index", [0, None])
def test_a_path_that_leads_out_of_the_root_is_refused(root: Path, path: str, said: str, index: int | None) -> None:
    with pytest.raises(InputError, match=said):
        cutouts(root, path, index)


def test_a_link_that_leads_out_of_the_root_is_refused_and_one_within_it_is_followed(root: Path) -> None:
    (root / "out.zarr").symlink_to(root.parent / "other/b.zarr")
    (root / "in.zarr").symlink_to("a.zarr")
    (root / "out.npz").symlink_to("/etc/hostname")
    assert cutouts(root, "in.zarr").read([0]).shape == (1, 9, 9, 3)
    with pytest.raises(InputError, match=OUT):
        cutouts(root, "out.zarr")
    with pytest.raises(InputError, match=OUT):
        cutouts(root, "out.npz", None).read([0])
    with pytest.raises(InputError, match=OUT):
        listing(root / "out.zarr", root)


def test_a_root_that_is_a_link_itself_is_a_root(root: Path) -> None:
    (root.parent / "link").symlink_to("root")
    assert cutouts(root.parent / "link", "a.zarr").read([0]).shape == (1, 9, 9, 3)
    assert listing(root.parent / "link/a.zarr", root.parent / "link").rows["cutout_path"][0].as_py() == "a.zarr"


def test_a_pipe_or_device_is_refused_and_not_opened(root: Path) -> None:
    os.mkfifo(root / "pipe.npz")
    with pytest.raises(InputError, match="is a device or a pipe"):
        cutouts(root, "pipe.npz", None).read([0])
    (root / "loose").mkdir()
    shutil.move(root / "pipe.npz", root / "loose")
    with pytest.raises(InputError, match="is a device or a pipe"):
        listing(root / "loose", root)


def test_cutouts_that_a_manifest_could_not_name_are_refused_as_it_is_made(root: Path) -> None:
    with pytest.raises(InputError, match="--root that holds all its cutouts"):
        listing(root.parent / "other/b.zarr", root)
    assert listing(root.parent / "other/b.zarr", root.parent).rows["cutout_path"][0].as_py() == "other/b.zarr"


@pytest.mark.parametrize("base", ["s3://bucket/run", "s3://bucket/run/", "s3a://bucket/run"])
def test_on_s3_a_path_is_below_the_root_too(base: str) -> None:
    assert located(base, "x/a.zarr") == located(base, "s3://bucket/run/x/a.zarr") == f"{base.rstrip('/')}/x/a.zarr"
    assert relative("s3://bucket/run/x/a.zarr/", base) == "x/a.zarr"
    for path in ("s3://bucket/run2/a.zarr", "s3://other/run/a.zarr", "../run2/a.zarr", "/etc/hostname", "x/../../a"):
        with pytest.raises(InputError, match=OUT):
            located(base, path)


@given(st.lists(st.sampled_from(["..", ".", "a", "b.zarr", ""]), min_size=1, max_size=6).map("/".join))
def test_what_is_located_is_below_the_root(path: str) -> None:
    try:
        file = located("/data/root", path)
    except InputError:
        assert not path or not os.path.normpath(os.path.join("/data/root", path)).startswith("/data/root")
    else:
        assert Path(os.path.normpath(file)).is_relative_to("/data/root")


def test_a_file_that_is_missing_is_for_the_reader_to_say(root: Path) -> None:
    refuse_link_out(root, root / "none.npz")
    with pytest.raises(InputError, match="no such file"):
        cutouts(root, "none.npz", None).read([0])
    assert np.isfinite(cutouts(root, "a.zarr").read([0])).any()
