"""A store and a folder of .npz are listed alike; what is neither is an error."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.doors import npz
from lensctl.doors.listing import listing
from lensctl.words.errors import InputError

RANDOM = np.random.default_rng(0)


def write(folder, name, size=101, **meta):
    image = RANDOM.normal(0, 1, (size, size, 3)).astype("f4")
    keys = {"meta_galaxy_id": np.array(name), "meta_ra": np.array(1.0), "meta_dec": np.array(2.0), **meta}
    npz.write(folder / f"{name}.npz", image, keys)
    return image


def test_a_folder_of_npz_is_listed_in_the_order_of_names(tmp_path):
    folder = tmp_path / "cut"
    folder.mkdir()
    write(folder, "b_2")
    first = write(folder, "a_1")
    rows = listing(str(folder), tmp_path).rows.to_pylist()
    assert [(r["galaxy_id"], r["cutout_path"], r["cutout_index"]) for r in rows] == [
        ("a_1", "cut/a_1.npz", None),
        ("b_2", "cut/b_2.npz", None),
    ]
    assert all(r["cutout_ok"] and r["status"] == "ok" for r in rows)
    import hashlib

    assert rows[0]["cutout_sha256"] == hashlib.sha256(first.tobytes()).hexdigest()


def test_paths_are_relative_to_the_folder_asked_for(tmp_path):
    (tmp_path / "cut").mkdir()
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "cut", "a_1")
    assert listing(str(tmp_path / "cut"), tmp_path / "elsewhere").rows["cutout_path"].to_pylist() == ["../cut/a_1.npz"]


def test_the_digest_sees_the_pixels(tmp_path):
    (tmp_path / "cut").mkdir()
    write(tmp_path / "cut", "a_1")
    before = listing(str(tmp_path / "cut"), tmp_path).digest
    write(tmp_path / "cut", "a_1")
    assert listing(str(tmp_path / "cut"), tmp_path).digest != before


def test_what_holds_no_cutouts_is_an_error(tmp_path):
    with pytest.raises(InputError, match="neither a cutout store nor a folder of .npz"):
        listing(str(tmp_path), tmp_path)
    write(tmp_path, "a_1")
    write(tmp_path, "b_2", size=51)
    with pytest.raises(InputError, match=r"b_2.npz: cutout is not \(101, 101, 3\), as a_1.npz is"):
        listing(str(tmp_path), tmp_path)
