"""Real files: three DR10 cutouts of the plan's own pipeline, and the DR6 brick 0959p805 at the edge of the survey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from lensctl.export import export
from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.npz import PROVENANCE
from lensctl.io.fits.tables import read_fits_table
from lensctl.io.imaging.bricks import bricks_at
from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.imaging.local_bricks import LocalBricks
from lensctl.io.imaging.making import make
from lensctl.io.provenance.steps import Step
from lensctl.pack import pack
from tests.toys.npz_folders import opened

BRICK = "0959p805"


@pytest.fixture(scope="module")
def coadd(real_data: Path) -> Path:
    return real_data / "dr6-coadd"


def image(folder: Path, band: str) -> tuple[np.ndarray, WCS]:
    with fits.open(folder / f"legacysurvey-{BRICK}-image-{band}.fits.fz") as hdus:
        return np.asarray(hdus[1].data), WCS(hdus[1].header)


def places(folder: Path, count: int = 40) -> pa.Table:
    """Positions all over the brick and a little beyond, most of them where g has data."""
    g, wcs = image(folder, "g")
    random = np.random.default_rng(3)
    filled = np.argwhere(g != 0)
    chosen = filled[random.integers(0, len(filled), count // 2)] + random.uniform(-0.49, 0.49, (count // 2, 2))
    anywhere = random.uniform(-40, 3640, (count - count // 2, 2))
    y, x = np.concatenate([chosen, anywhere]).T
    ra, dec = wcs.all_pix2world(x, y, 0)
    return pa.table({"galaxy_id": [f"{BRICK}_{i}" for i in range(count)], "ra": ra, "dec": dec})


def test_stamps_of_the_real_brick_are_astropys_pixels_at_astropys_place(coadd: Path, tmp_path: Path) -> None:
    rows = places(coadd)
    source = CoaddSource(str(coadd), processes=1)
    made = make(rows, str(tmp_path / "a.zarr"), source, Layout(40, 101), (Step("cutout", {}),))
    assert made.statuses == {"missing_band": 40}
    index = made.store.index
    assert index["error"].unique().to_pylist() == [f"no r image of brick {BRICK}"]
    assert index["release"].unique().to_pylist() == ["DR6"]
    assert index["layer"].unique().to_pylist() == ["ls-dr6"]
    assert index["pixel_scale_arcsec"].unique().to_pylist() == [0.262]
    assert index["url_or_brick"].unique().to_pylist() == [BRICK]
    assert index["cutout_ok"].unique().to_pylist() == [False]
    images = made.store.read(np.arange(40))
    assert np.isnan(images[..., 1]).all()
    for b, band in ((0, "g"), (2, "z")):
        pixels, wcs = image(coadd, band)
        padded = np.pad(pixels, 200, constant_values=np.nan)
        x, y = wcs.all_world2pix(rows["ra"].to_numpy(), rows["dec"].to_numpy(), 0)
        for row in range(40):
            column, line = int(np.floor(x[row] + 0.5)), int(np.floor(y[row] + 0.5))
            stamp = padded[line + 150 : line + 251, column + 150 : column + 251]
            assert np.array_equal(images[row, ..., b], stamp, equal_nan=True), (row, band)
            assert index["offset_x_px"][row].as_py() == pytest.approx(x[row] - column, abs=1e-5)
            assert index["offset_y_px"][row].as_py() == pytest.approx(y[row] - line, abs=1e-5)


def test_the_real_brick_table_finds_its_bricks(coadd: Path) -> None:
    bricks = read_fits_table(str(coadd / "survey-bricks.fits.gz"))
    found = bricks_at(bricks, bricks["ra"].to_numpy().astype(float), bricks["dec"].to_numpy().astype(float))
    assert found == bricks["brickname"].to_pylist()
    assert BRICK in found
    assert LocalBricks(coadd).brick_table() is not None


@pytest.mark.parametrize("compress", [False, True])
def test_real_dr10_cutouts_go_through_pack_and_export_bit_identical(
    real_data: Path, tmp_path: Path, compress: bool
) -> None:
    folder = real_data / "dr10-cutouts"
    packed = pack(folder, str(tmp_path / "a.zarr"), workers=1)
    assert packed["status"] == {"ok": 3}
    index = opened(packed).index
    assert index["source"].unique().to_pylist() == ["viewer"]
    assert index["layer"].unique().to_pylist() == ["ls-dr10"]
    assert index["pixel_scale_arcsec"].unique().to_pylist() == [0.262]
    export(packed["output"], tmp_path / "out", compress=compress, workers=1)
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as before, np.load(tmp_path / "out" / file.name) as after:
            assert after.files == [*before.files, PROVENANCE]
            for key in before.files:
                assert (after[key].dtype, after[key].shape) == (before[key].dtype, before[key].shape), key
                assert after[key].tobytes() == before[key].tobytes(), key
    again = opened(pack(tmp_path / "out", str(tmp_path / "b.zarr"), workers=1))
    assert again.digest == opened(packed).digest
