"""A folder of .npz into a store: the index says what the files said, and a bad folder leaves nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lensctl.io.cutouts import npz
from lensctl.io.provenance.steps import to_json
from lensctl.pack import pack
from lensctl.rules import quality
from lensctl.rules.errors import InputError
from tests.toys.npz_folders import MIXED, opened, write_folder
from tests.toys.pixels import CHAIN, images


def test_the_index_says_what_the_files_said(tmp_path: Path) -> None:
    url = (
        "https://www.legacysurvey.org/viewer/fits-cutout?ra=0.1&dec=-4&size=101&layer=ls-dr10&pixscale=0.262&bands=grz"
    )
    told = {"meta_cutout_url": np.array(url), "meta_timestamp": np.array("2026-02-08T22:13:40")}
    folder = write_folder(tmp_path / "in", [told, {}, {"meta_layer": np.array("x"), "meta_pixel_scale": np.array(0.5)}])
    index = opened(pack(folder, str(tmp_path / "a.zarr"), workers=1)).index
    assert index["galaxy_id"].to_pylist() == ["0001m000_0", "0001m001_1", "0001m002_2"]
    assert index["source"].to_pylist() == ["viewer", "npz", "npz"]
    assert index["layer"].to_pylist() == ["ls-dr10", None, "x"]
    assert index["pixel_scale_arcsec"].to_pylist() == [0.262, None, 0.5]
    assert index["url_or_brick"].to_pylist() == [url, None, None]
    assert index["downloaded_at"].to_pylist() == ["2026-02-08T22:13:40", None, None]
    assert index["cutout_sha256"].to_pylist() == quality.fingerprints(images(3))


def test_altered_provenance_in_a_file_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", [{}])
    found = npz.read_npz(folder / "0001m000_0.npz")
    steps = json.loads(to_json(CHAIN))
    steps[0]["parameters"]["made"] = "down"
    text = np.array(json.dumps(steps).encode())
    npz.write_npz(folder / "0001m000_0.npz", found.cutout, {**found.meta, npz.PROVENANCE: text})
    with pytest.raises(InputError, match="altered"):
        pack(folder, str(tmp_path / "a.zarr"), workers=1)


def spoil_second(folder: Path, **arrays: npz.Array) -> None:
    found = npz.read_npz(folder / "0001m001_1.npz")
    np.savez(folder / "0001m001_1.npz", **({"cutout": found.cutout, **found.meta} | arrays))


BAD = {
    "cut short": (
        lambda f: (f / "0001m001_1.npz").write_bytes((f / "0001m001_1.npz").read_bytes()[:900]),
        "not a complete",
    ),
    "another size": (lambda f: spoil_second(f, cutout=images(1, 7)[0]), r"shape \(7, 7, 3\), the first"),
    "an id twice": (lambda f: spoil_second(f, meta_galaxy_id=np.array("0001m002_2")), "0001m002_2"),
    "an id that is a path": (lambda f: spoil_second(f, meta_galaxy_id=np.array("../../x")), "has a /"),
    "pickled": (lambda f: spoil_second(f, meta_x=np.array(None)), "pickled"),
    "no files": (lambda f: [path.unlink() for path in f.iterdir()], "holds no .npz"),
    "no folder": (lambda f: shutil.rmtree(f), "no such store or folder"),
}


def test_a_folder_of_fits_is_told_where_it_goes(tmp_path: Path) -> None:
    (tmp_path / "1.fits").touch()
    with pytest.raises(InputError) as raised:
        pack(tmp_path, str(tmp_path / "a.zarr"), workers=1)
    assert "lensctl cutout TABLE STORE --source fits" in raised.value.fix


@pytest.mark.parametrize("case", BAD)
def test_a_bad_folder_is_refused_and_nothing_is_left(tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    folder = write_folder(tmp_path / "in", MIXED)
    spoil(folder)
    with pytest.raises(InputError, match=message):
        pack(folder, str(tmp_path / "a.zarr"), shard_rows=2, workers=1)
    assert {path.name for path in tmp_path.iterdir()} <= {"in"}
