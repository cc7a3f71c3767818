"""What a manifest may name: stores and folders of .npz, with the size on the sky and the bands of their cutouts."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings

from lensctl.io.cutouts import npz
from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.io.cutouts.listing import listing, refuse_other_bands
from lensctl.pack import pack
from lensctl.rules import quality
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from tests.toys.manifests import without_empty_columns
from tests.toys.names import NAMES
from tests.toys.npz_folders import opened
from tests.toys.pixels import CHAIN, images, make_store

PIXELS = images(10)
LOOSE = images(3, seed=5)


def write(path: Path, pixels: quality.Images, **meta: object) -> None:
    place = {"meta_galaxy_id": f"0001m001_{path.stem}", "meta_ra": 1.0, "meta_dec": -0.1, **meta}
    npz.write_npz(path, pixels, {name: np.array(value) for name, value in place.items()})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of ten cutouts, and three single files."""
    root = tmp_path / "cutouts"
    (root / "loose").mkdir(parents=True)
    make_store(root / "a.zarr", PIXELS)
    for i, image in enumerate(LOOSE):
        write(root / f"loose/{i}.npz", image)
    return root


def test_a_store_is_listed_with_paths_relative_to_the_manifest(folder: Path) -> None:
    listed = listing(folder / "a.zarr", folder.parent)
    assert listed.rows["cutout_path"].unique().to_pylist() == [f"{folder.name}/a.zarr"]
    assert listed.rows["cutout_index"].to_pylist() == list(range(10))
    assert listed.rows["cutout_sha256"].to_pylist() == quality.fingerprints(PIXELS)
    assert listed.chain == CHAIN
    assert Cutouts(listed.rows, folder.parent).read([9]).tobytes() == PIXELS[9].tobytes()


def test_a_folder_of_files_is_listed_with_quality_and_a_digest_of_its_own(folder: Path, tmp_path: Path) -> None:
    listed = listing(folder / "loose", folder)
    assert listed.rows["cutout_path"].to_pylist() == ["loose/0.npz", "loose/1.npz", "loose/2.npz"]
    assert listed.rows["cutout_index"].null_count == 3
    assert listed.rows["cutout_ok"].to_pylist() == [True] * 3
    assert listed.rows["status"].to_pylist() == ["ok"] * 3
    shutil.copytree(folder / "loose", tmp_path / "copy")
    assert listing(tmp_path / "copy", tmp_path).digest == listed.digest
    (tmp_path / "copy/2.npz").unlink()
    assert listing(tmp_path / "copy", tmp_path).digest != listed.digest


def test_half_empty_files_are_not_used_unless_so_much_may_be_empty(folder: Path) -> None:
    image = LOOSE[1].copy()
    image[:2] = 0.0  # 2 of 9 rows
    write(folder / "loose/1.npz", image)
    assert listing(folder / "loose", folder).rows["status"].to_pylist() == ["ok", "half_empty", "ok"]
    assert listing(folder / "loose", folder).rows["cutout_ok"].to_pylist() == [True, False, True]
    assert listing(folder / "loose", folder, 0.25).rows["cutout_ok"].to_pylist() == [True] * 3


def test_a_store_of_an_earlier_version_is_listed_and_says_that_it_knows_nothing_of_empty_pixels(folder: Path) -> None:
    whole = listing(folder / "a.zarr", folder)
    assert whole.knows_empty
    without_empty_columns(folder / "a.zarr")
    old = listing(folder / "a.zarr", folder)
    assert not old.knows_empty
    assert old.rows.equals(whole.rows)


def test_what_is_neither_store_nor_folder_of_files_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no .npz"):
        listing(tmp_path, folder)
    with pytest.raises(InputError, match="no such store or folder"):
        listing(tmp_path / "none", folder)


def test_places_come_along(folder: Path) -> None:
    stored, loose = listing(folder / "a.zarr", folder).rows, listing(folder / "loose", folder).rows
    assert stored["ra"][3].as_py() == pytest.approx(10.15)
    assert loose.select(["ra", "dec"]).to_pylist() == [{"ra": 1.0, "dec": -0.1}] * 3


def test_the_side_is_that_of_the_largest_cutout_at_the_scale_it_was_cut_at(folder: Path) -> None:
    assert listing(folder / "a.zarr", folder).side_arcsec(LS_DR10) == pytest.approx(9 * 0.262)
    assert listing(folder / "loose", folder).side_arcsec(LS_DR10) == pytest.approx(9 * 0.262)
    coarse = dataclasses.replace(LS_DR10, pixel_scale_arcsec=1.0)
    assert listing(folder / "loose", folder).side_arcsec(coarse) == pytest.approx(9.0)
    write(folder / "loose/1.npz", LOOSE[1], meta_pixel_scale_arcsec=0.524)
    assert listing(folder / "loose", folder).side_arcsec(LS_DR10) == pytest.approx(9 * 0.524)
    write(folder / "loose/2.npz", images(1, 30)[0])
    assert listing(folder / "loose", folder).side_arcsec(LS_DR10) == pytest.approx(30 * 0.262)


@pytest.mark.parametrize("bands", [1, 4])
def test_bands_are_counted_and_must_be_those_of_the_survey(folder: Path, bands: int) -> None:
    other = np.repeat(LOOSE[..., :1], bands, axis=-1)
    write(folder / "loose/2.npz", other[2])
    with pytest.raises(InputError, match=rf"2\.npz: {bands} bands, 0\.npz has 3"):
        listing(folder / "loose", folder)
    for i, image in enumerate(other):
        write(folder / f"loose/{i}.npz", image)
    found = listing(folder / "loose", folder).bands
    with pytest.raises(InputError, match=rf"loose: {bands} bands, survey ls-dr10 has g, r, z"):
        refuse_other_bands(found, folder / "loose", LS_DR10)
    if bands == len(LS_DR10_GRIZ.bands):
        refuse_other_bands(found, "loose", LS_DR10_GRIZ)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(folder=NAMES, name=NAMES)
@example(folder="dr10[test]", name="%41 b*")
def test_cutouts_are_the_same_whatever_their_folder_and_file_are_called(
    tmp_path_factory: pytest.TempPathFactory, folder: str, name: str
) -> None:
    root = tmp_path_factory.mktemp("names") / folder
    (root / "loose").mkdir(parents=True)
    make_store(root / name, PIXELS[:3])
    npz.write_npz(
        root / "loose" / f"{name}.npz",
        LOOSE[0],
        {f"meta_{key}": np.array(value) for key, value in {"galaxy_id": "a_1", "ra": 1.0, "dec": -0.1}.items()},
    )
    for path, pixels in ((root / name, PIXELS[:3]), (root / "loose", LOOSE[:1])):
        for base in (root, root.parent):
            rows = listing(path, base).rows
            assert Cutouts(rows, base).read(range(rows.num_rows)).tobytes() == pixels.tobytes()
    assert opened(pack(root / "loose", root / "packed.zarr", workers=1)).read([0]).tobytes() == LOOSE[:1].tobytes()
