"""A folder of FITS cutouts as a source: rows that have none say why, and are read again once their file is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.cutout import cutout
from lensctl.io.cutouts.store import open_store
from lensctl.rules.errors import InputError, LensctlError
from lensctl.rules.quality import fingerprints
from lensctl.rules.survey import LS_DR10
from tests.toys.fits_cutouts import header_of, write_cube
from tests.toys.folders import folder_digest

SIZE, COUNT = 21, 6
SCALE = LS_DR10.pixel_scale_arcsec
IMAGES = np.random.default_rng(5).normal(1, 0.1, (COUNT, SIZE, SIZE, 3)).astype(np.float32)
ROWS = {"galaxy_id": [f"g{n}" for n in range(COUNT)], "ra": 150 + np.arange(COUNT) / 64, "dec": np.full(COUNT, 2.0)}


def place(number: int, **cards: object):
    return header_of(ROWS["ra"][number], 2.0, SIZE, SCALE, **cards)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with six FITS cutouts in fits/, and t.parquet."""
    monkeypatch.chdir(tmp_path)
    Path("fits").mkdir()
    for number in range(COUNT):
        write_cube(Path(f"fits/g{number}.fits"), IMAGES[number], place(number))
    pq.write_table(pa.table(ROWS), "t.parquet")
    return tmp_path


def cut(store: str = "a.zarr", **options: object):
    return cutout("t.parquet", store, **({"source": "fits", "root": "fits", "size": SIZE, "workers": 1} | options))


def test_the_store_holds_the_pixels_and_says_where_they_are_from(here):
    assert cut()["status"] == {"ok": COUNT}
    store = open_store("a.zarr")
    np.testing.assert_array_equal(store.read(range(COUNT)), IMAGES)
    index = store.index.to_pydict()
    assert index["cutout_sha256"] == fingerprints(IMAGES)
    assert (index["source"], index["pixel_scale_arcsec"]) == (["fits"] * COUNT, [SCALE] * COUNT)
    assert index["url_or_brick"] == [f"g{n}.fits" for n in range(COUNT)]
    assert store.chain[-1].parameters["root"] == "fits"
    first = folder_digest("a.zarr")
    cut(overwrite=True, workers=2, shard_rows=1024)
    assert folder_digest("a.zarr") == first


def test_every_row_that_has_no_cutout_is_there_and_says_why(here):
    empty = IMAGES.copy()
    empty[1, ..., 2] = np.nan
    empty[2, 10, 10, 0] = np.nan
    for number in (1, 2):
        write_cube(Path(f"fits/g{number}.fits"), empty[number], place(number))
    write_cube(Path("fits/g3.fits"), IMAGES[3, :19, :19], place(3))
    write_cube(Path("fits/g4.fits"), IMAGES[4], place(0, BANDS="rgz"))
    Path("fits/g5.fits").unlink()
    said = cut(max_failed=1)["status"]
    assert said == {"bad_file": 1, "missing_band": 1, "nan_center": 1, "ok": 1, "wrong_bands": 1, "wrong_shape": 1}
    store = open_store("a.zarr")
    assert store.index["error"].to_pylist() == [
        *[None] * 3,
        "19x19 px, not 21x21",
        "bands r, g, z, not g, r, z",
        "no file g5.fits",
    ]
    assert np.isnan(store.read([3, 4, 5])).all()


def test_a_file_that_comes_later_is_read_by_the_same_command_and_the_store_is_as_from_one_run(here):
    Path("fits/g5.fits").rename("later.fits")
    with pytest.raises(LensctlError, match="1 of 6 cutouts failed"):
        cut()
    Path("later.fits").rename("fits/g5.fits")
    assert cut()["cut"] == 1
    cut("b.zarr")
    assert folder_digest("a.zarr") == folder_digest("b.zarr")


def test_a_file_a_band_in_folders_of_its_own(here):
    from astropy.io import fits

    for b, band in enumerate("grz"):
        Path("bands", band).mkdir(parents=True)
        for number in range(COUNT):
            fits.PrimaryHDU(IMAGES[number, ..., b], place(number)).writeto(f"bands/{band}/g{number}_{band}.fits")
    cut(root="bands", files="{band}/{galaxy_id}_{band}.fits")
    np.testing.assert_array_equal(open_store("a.zarr").read(range(COUNT)), IMAGES)
    assert open_store("a.zarr").index["url_or_brick"][0].as_py() == "{band}/g0_{band}.fits"


REFUSED = {
    "no folder": ({"root": "nowhere"}, "nowhere: no such folder"),
    "no root": ({"root": None}, "no folder of FITS cutouts is given"),
    "S3": ({"root": "s3://bucket/fits"}, "FITS cutouts are read from local disk"),
    "other names": ({"files": "{galaxy_id}.fit"}, "none of 6 galaxies has a file here, such as g0.fit"),
    "names without the galaxy": ({"files": "{band}.fits"}, "does not name the files of a galaxy"),
    "names with other fields": ({"files": "{galaxy_id}{x}.fits"}, "does not name the files of a galaxy"),
    "names with half a bracket": ({"files": "{galaxy_id.fits"}, "does not name the files of a galaxy"),
    "names that reach into an id": ({"files": "{galaxy_id.__class__}.fits"}, "does not name the files of a galaxy"),
    "names with a width": ({"files": "{galaxy_id:>999999999}.fits"}, "does not name the files of a galaxy"),
    "names that lead out": ({"files": "../{galaxy_id}.fits"}, "leads out of the folder"),
    "planes": ({"planes": "invvar"}, "read for their images alone"),
    "a zero point of no number": ({"zero_point": "bright"}, "is no AB magnitude for g, r, z"),
    "a zero point of coadds": ({"source": "coadd", "zero_point": "27"}, "are of FITS cutouts"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_before_anything_is_written(here, case):
    options, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        cut(**options)
    assert not Path("a.zarr").exists()
    assert not list(here.glob(".a*"))


def test_pixels_of_no_unit_are_refused_unless_their_zero_point_is_given(here):
    for number in range(COUNT):
        write_cube(Path(f"fits/g{number}.fits"), IMAGES[number], place(number, BUNIT=None))
    with pytest.raises(InputError, match="fits/g0.fits: the unit of the pixels is not known"):
        cut()
    assert not Path("a.zarr").exists()
    cut(zero_point="25")
    np.testing.assert_allclose(open_store("a.zarr").read(range(COUNT)), IMAGES / 10, rtol=1e-6)
