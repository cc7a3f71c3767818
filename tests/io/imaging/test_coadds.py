"""Cutouts from brick coadds: the pixels astropy gives, at the pixel astropy's WCS gives, and every gap named."""

from __future__ import annotations

import dataclasses
import gzip
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.fits.tiles import gzipped_spans, table_bytes
from lensctl.io.imaging import brick_reader
from lensctl.io.imaging.bricks import bricks_of
from lensctl.io.imaging.coadds import Coadds, CoaddSource
from lensctl.io.imaging.local_bricks import FitsFile, LocalBricks
from lensctl.io.imaging.source import Cuts
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.rules.survey_parts import BrickLayout
from tests.io.imaging.test_bricks import BRICK_TABLE
from tests.toys.coadds import CENTRES, make_brick, make_maskbits, objects
from tests.toys.surveys import INFRARED


@pytest.fixture(scope="module")
def root(small_survey: Path) -> Path:
    return small_survey


def cut(root: Path, table: pa.Table, **options: object) -> Cuts:
    disk = LocalBricks(root)
    cutter = Coadds(disk, **options)
    found = cutter.cut(bricks_of(table, disk), table["ra"].to_numpy(), table["dec"].to_numpy())
    cutter.close()
    return found


def slow_cut(file: Path, ra: float, dec: float, size: int) -> tuple[np.ndarray, float, float]:
    """One band of one cutout the obvious way, by astropy alone."""
    with fits.open(file) as hdus:
        hdu = hdus[1] if len(hdus) > 1 else hdus[0]
        x, y = (float(v) for v in WCS(hdu.header, naxis=2).all_world2pix(ra, dec, 0))
        column, line = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        out = np.full((size, size), np.nan, np.float32)
        for i in range(size):
            for j in range(size):
                row, col = line - size // 2 + i, column - size // 2 + j
                if 0 <= row < hdu.data.shape[0] and 0 <= col < hdu.data.shape[1]:
                    out[i, j] = hdu.data[row, col]
    return out, x - column, y - line


@pytest.mark.parametrize("whole", [True, False], ids=["whole planes", "sub-regions"])
@pytest.mark.parametrize("name", ["1500p020", "0000m005"])
def test_pixels_and_places_are_astropys(root: Path, name: str, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brick_reader, "SHARE_FOR_WHOLE", 0.0 if whole else 2.0)
    table = objects(name, 6)
    found = cut(root, table, size=31)
    for row, (ra, dec) in enumerate(zip(table["ra"].to_pylist(), table["dec"].to_pylist(), strict=True)):
        for b, band in enumerate("grz"):
            (file,) = (root / "south/coadd" / name[:3] / name).glob(f"*-image-{band}.fits*")
            pixels, dx, dy = slow_cut(file, ra, dec, 31)
            assert np.array_equal(found.images[row, ..., b], pixels, equal_nan=True), (row, band)
        assert found.columns["offset_x_px"][row] == pytest.approx(dx, abs=1e-6)
        assert found.columns["offset_y_px"][row] == pytest.approx(dy, abs=1e-6)
        assert abs(dx) <= 0.5


def test_what_is_known_of_a_brick_travels_with_its_cutouts(root: Path) -> None:
    columns = cut(root, objects("1500p020", 2), size=31).columns
    assert columns["release"] == ["DR10", "DR10"]
    assert columns["layer"] == ["ls-dr10", "ls-dr10"]
    assert columns["pixel_scale_arcsec"] == [0.262, 0.262]
    assert columns["url_or_brick"] == ["south/coadd/150/1500p020"] * 2
    assert columns["status"] == columns["error"] == [None, None]


def test_beyond_the_image_is_nan_and_far_beyond_is_outside(root: Path) -> None:
    ra, dec = CENTRES["1500p020"]
    down = np.array([0, 200, 350, 20000]) * 0.262 / 3600
    table = pa.table({"galaxy_id": [f"1500p020_{i}" for i in range(4)], "ra": [ra] * 4, "dec": dec - down})
    found = cut(root, table)
    holes = np.isnan(found.images).sum(axis=(1, 2, 3))
    assert holes[0] == 0
    assert 0 < holes[1] < 101 * 101 * 3
    assert np.isnan(found.images[1, :5]).all()
    assert np.isfinite(found.images[1, -5:]).all(), "south is at row 0"
    assert found.columns["status"] == [None, None, "outside_footprint", "outside_footprint"]
    assert holes[2] == holes[3] == 101 * 101 * 3


def test_a_missing_band_is_nan_and_named(root: Path) -> None:
    found = cut(root, objects("1502p020", 1, spread_px=5))
    assert np.isnan(found.images[..., 1]).all()
    assert np.isfinite(found.images[..., [0, 2]]).all()
    assert found.columns["error"] == ["no r image of brick 1502p020"]


def test_missing_bricks_are_named_and_the_others_are_cut(root: Path) -> None:
    table = pa.concat_tables([objects("1500p020", 1), objects("1500p020", 1)])
    table = table.append_column("brickname", pa.array(["1500p020", "3599p899"]))
    found = cut(root, table)
    assert found.columns["status"] == [None, "missing_brick"]
    assert found.columns["error"][1] == "no coadd of brick 3599p899"
    assert np.isnan(found.images[1]).all()


def test_a_brick_name_is_never_a_path(tmp_path: Path) -> None:
    make_brick(tmp_path / "survey", "1500p020", base="coadd")
    (tmp_path / "secret").mkdir()
    table = objects("1500p020", 1).append_column("brickname", pa.array(["../secret"]))
    assert (tmp_path / "survey/coadd/../../secret").is_dir()
    assert cut(tmp_path / "survey", table).columns["status"] == ["missing_brick"]


@pytest.mark.parametrize(("count", "spread", "at_once"), [(2, 130.0, False), (40, 60.0, False), (60, 130.0, True)])
def test_few_cutouts_are_read_by_tiles_each_once_and_many_by_planes(
    root: Path, monkeypatch: pytest.MonkeyPatch, count: int, spread: float, at_once: bool
) -> None:
    times = np.zeros((330, 360), int)
    pieces: list[tuple[slice, ...]] = []
    fill = FitsFile.fill

    def counted(self: FitsFile, rows: slice, columns: slice, target: np.ndarray) -> None:
        pieces.append((rows, columns))
        times[rows, columns] += 1
        fill(self, rows, columns, target)

    monkeypatch.setattr(FitsFile, "fill", counted)
    cut(root, objects("1500p020", count, spread_px=spread))
    assert times.max() == 3, "once for each band"
    if at_once:
        assert pieces == [(slice(0, 330), slice(0, 360))] * 3
    else:
        assert times.min() == 0


def test_a_brick_that_goes_on_in_the_next_rows_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    begin = FitsFile.__init__

    def counted(self: FitsFile, path: Path) -> None:
        opened.append(path.name)
        begin(self, path)

    monkeypatch.setattr(FitsFile, "__init__", counted)
    cutter = Coadds(LocalBricks(root), size=31)
    table = objects("1500p020", 9)
    for row in range(9):
        part = table.slice(row, 1)
        cutter.cut(["1500p020"], part["ra"].to_numpy(), part["dec"].to_numpy())
    assert len(opened) == len(set(opened)) == 3


@pytest.mark.parametrize("whole", [True, False], ids=["whole planes", "sub-regions"])
@pytest.mark.parametrize("keep", [0, 2880, 9000, -3000, -40000])
def test_a_truncated_file_is_named_and_nothing_of_it_is_kept(
    root: Path, tmp_path: Path, keep: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brick_reader, "SHARE_FOR_WHOLE", 0.0 if whole else 2.0)
    shutil.copytree(root, tmp_path / "survey")
    (file,) = (tmp_path / "survey/south/coadd/150/1500p020").glob("*-r.fits.fz")
    file.write_bytes(file.read_bytes()[:keep] if keep else b"")
    found = cut(tmp_path / "survey", pa.concat_tables([objects("1500p020", 2), objects("0000m005", 1)]))
    assert found.columns["status"] == ["bad_file", "bad_file", None]
    assert np.isnan(found.images[:2]).all()
    assert str(tmp_path) not in str(found.columns["error"])


def test_a_damaged_table_of_tiles_is_named(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "survey")
    (file,) = (tmp_path / "survey/south/coadd/150/1500p020").glob("*-z.fits.fz")
    content = bytearray(file.read_bytes())
    image = FitsFile(file).image
    content[image.data_start : image.data_start + 16 * 24] = b"\x7f" * 16 * 24  # where each tile is, and how long
    file.write_bytes(content)
    found = cut(tmp_path / "survey", objects("1500p020", 1))
    assert found.columns["status"] == ["bad_file"]
    assert "1500p020, z" in found.columns["error"][0]
    assert np.isnan(found.images).all()


def test_a_damaged_gzipped_file_costs_its_own_rows(tmp_path: Path) -> None:
    for name in ("1500p020", "0000m005"):
        make_brick(tmp_path, name, compress=False)
    for file in tmp_path.rglob("*.fits"):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    (file,) = tmp_path.rglob("*1500p020-image-r.fits.gz")
    content = bytearray(file.read_bytes())
    content[40:60] = bytes(20)
    file.write_bytes(content)
    found = cut(tmp_path, pa.concat_tables([objects("1500p020", 1), objects("0000m005", 1)]))
    assert found.columns["status"] == ["bad_file", None]
    assert "brick 1500p020, r: damaged compressed data" in found.columns["error"][0]


def test_a_damaged_gzipped_tile_fails_no_cutout_and_holds_none_up(tmp_path: Path) -> None:
    """Cfitsio goes on unpacking it for ever."""
    make_brick(tmp_path, "1500p020")
    make_maskbits(tmp_path, "1500p020")
    (file,) = tmp_path.rglob("*maskbits.fits.fz")
    image = FitsFile(file).image
    content = bytearray(file.read_bytes())
    table = bytes(content[image.data_start : image.data_start + table_bytes(image)])
    for start, stop in gzipped_spans(image, table)[0].tolist():  # half as long as it is
        content[image.data_start : image.data_start + len(table)] = content[
            image.data_start : image.data_start + len(table)
        ].replace((stop - start).to_bytes(4, "big"), ((stop - start) // 2).to_bytes(4, "big"))
    file.write_bytes(content)
    found = cut(tmp_path, objects("1500p020", 1), planes=("maskbits",))
    assert found.columns["status"] == [None]
    assert (found.planes["maskbits"] == -1).all()
    assert "maskbits: " in found.columns["error"][0]


def test_bands_on_different_grids_are_refused(tmp_path: Path) -> None:
    make_brick(tmp_path, "1500p020", bands="gr")
    make_brick(tmp_path, "1500p020", bands="z", CRPIX1=7.0)
    assert cut(tmp_path, objects("1500p020", 1)).columns["status"] == ["bad_file"]


def test_another_release_than_the_layers_is_flagged(root: Path) -> None:
    found = cut(root, objects("1500p020", 1), layer="ls-dr9-south")
    assert found.columns["status"] == ["wrong_release"]
    assert cut(root, objects("1500p020", 1), layer="ls-dr10").columns["status"] == [None]


@pytest.mark.parametrize("base", ["south/coadd", "coadd", ""])
def test_three_layouts_of_a_root(tmp_path: Path, base: str) -> None:
    make_brick(tmp_path, "1500p020", base=base)
    found = cut(tmp_path, objects("1500p020", 1))
    assert found.columns["status"] == [None]
    assert found.columns["url_or_brick"] == [f"{base}/150/1500p020" if base else "1500p020"]


def test_results_do_not_depend_on_company(root: Path) -> None:
    table = pa.concat_tables([objects("1500p020", 9), objects("1502p020", 2), objects("0000m005", 3)])
    shuffled = np.random.default_rng(0).permutation(table.num_rows)
    together = cut(root, table.take(pa.array(shuffled)))
    for place, row in enumerate(shuffled):
        alone = cut(root, table.slice(row, 1))
        assert np.array_equal(together.images[place], alone.images[0], equal_nan=True)
        assert {k: v[place] for k, v in together.columns.items()} == {k: v[0] for k, v in alone.columns.items()}


PLANES = ("invvar", "maskbits", "psfsize")


@pytest.fixture(scope="module")
def deep(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bricks with further planes, some of which are not there or are damaged."""
    folder = tmp_path_factory.mktemp("deep") / "survey"
    shutil.copytree(root, folder)
    make_brick(folder, "1500p020", kind="invvar", seed=1)
    make_brick(folder, "1500p020", kind="psfsize", seed=2)
    make_maskbits(folder, "1500p020")
    make_brick(folder, "1502p020", kind="invvar", bands="gr")
    (damaged,) = folder.rglob("*1502p020-invvar-g.fits.fz")
    damaged.write_bytes(damaged.read_bytes()[:-3000])
    return folder


def test_further_planes_are_astropys(deep: Path) -> None:
    table = objects("1500p020", 5, spread_px=170.0)
    found = cut(deep, table, size=31, planes=PLANES)
    assert {name: (a.shape, a.dtype.name) for name, a in found.planes.items()} == {
        "invvar": ((5, 31, 31, 3), "float32"),
        "maskbits": ((5, 31, 31), "int32"),
        "psfsize": ((5, 31, 31, 3), "float32"),
    }
    folder = deep / "south/coadd/150/1500p020"
    for row, (ra, dec) in enumerate(zip(table["ra"].to_pylist(), table["dec"].to_pylist(), strict=True)):
        for name in ("invvar", "psfsize"):
            for b, band in enumerate("grz"):
                pixels, _, _ = slow_cut(folder / f"legacysurvey-1500p020-{name}-{band}.fits.fz", ra, dec, 31)
                assert np.array_equal(found.planes[name][row, ..., b], pixels, equal_nan=True)
        bits, _, _ = slow_cut(folder / "legacysurvey-1500p020-maskbits.fits.fz", ra, dec, 31)
        assert np.array_equal(found.planes["maskbits"][row], np.where(np.isnan(bits), -1, bits).astype(int))
    assert (found.planes["maskbits"] == -1).any(), "some cutouts reach beyond the coadd"
    assert np.array_equal(found.images, cut(deep, table, size=31).images, equal_nan=True)
    assert found.columns["error"] == [None] * 5


def test_further_planes_that_are_missing_or_damaged_fail_no_cutout(deep: Path) -> None:
    found = cut(deep, objects("1502p020", 2, spread_px=5), planes=PLANES)
    assert found.columns["status"] == [None, None]
    (said,) = set(found.columns["error"])
    for part in (
        "no r image of brick 1502p020",
        "brick 1502p020, invvar-g: truncated: ",
        "no invvar-z of brick 1502p020",
        "no maskbits of brick 1502p020",
        "no psfsize-g of brick 1502p020",
    ):
        assert part in said
    assert "invvar-r" not in said
    assert np.isnan(found.planes["invvar"][..., [0, 2]]).all()
    assert np.isfinite(found.planes["invvar"][..., 1]).all()
    assert np.isnan(found.planes["psfsize"]).all()
    assert (found.planes["maskbits"] == -1).all()


def test_a_further_plane_on_another_grid_is_refused(tmp_path: Path) -> None:
    make_brick(tmp_path, "1500p020")
    make_brick(tmp_path, "1500p020", kind="invvar", shape=(300, 300))
    found = cut(tmp_path, objects("1500p020", 1), planes=("invvar",))
    assert found.columns["status"] == ["bad_file"]
    assert "the pixel grid of invvar-g differs" in found.columns["error"][0]


def test_a_brick_is_told_by_column_then_id_then_position(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table(
        {
            "galaxy_id": ["1500p020_1", "1500p020_2", "lens a", "lens_b"],
            "brickname": ["1502p020", None, None, None],
            "ra": [150.0, 150.0, 150.2, 10.0],
            "dec": [2.0] * 4,
        }
    )
    with pytest.raises(InputError, match="row 2 \\(lens a\\)"):
        bricks_of(table, LocalBricks(root))
    monkeypatch.setattr(LocalBricks, "brick_table", lambda self: BRICK_TABLE)
    assert bricks_of(table, LocalBricks(root)) == ["1502p020", "1500p020", "1502p020", None]
    found = cut(root, table)
    assert found.columns["status"][3] == "outside_footprint"


@given(st.sets(st.integers(0, 60)), st.integers(1, 6))
def test_each_process_gets_neighbouring_shards(shards: set[int], processes: int) -> None:
    wanted = sorted(shards)
    order = CoaddSource("survey", processes=processes).order(wanted)
    assert sorted(order) == wanted
    if len(wanted) % processes == 0:
        runs = [order[i::processes] for i in range(processes)]
        assert [shard for run in runs for shard in run] == wanted, "taken in turn, each has a run of its own"


def test_coadds_of_another_pixel_scale_are_refused_with_what_to_do(root: Path) -> None:
    coarse = dataclasses.replace(LS_DR10, pixel_scale_arcsec=0.524)
    cutter = Coadds(LocalBricks(root), size=31, survey=coarse)
    with pytest.raises(InputError, match="brick 1500p020 has pixels of 0.262 arcsec, survey ls-dr10 of 0.52") as error:
        cutter.cut(["1500p020"], np.array([150.0]), np.array([2.0]))
    assert error.value.fix == "name the survey of these coadds with --survey"


def test_bands_of_many_letters_and_an_even_side_are_cut_from_files_of_the_surveys_own_names(tmp_path: Path) -> None:
    survey = dataclasses.replace(
        INFRARED, pixel_scale_arcsec=0.262, bricks=BrickLayout(prefix="deep", folders=("mosaics",))
    )
    pixels = make_brick(tmp_path, "1500p020", base="mosaics", bands=survey.bands)
    for file in (tmp_path / "mosaics/150/1500p020").iterdir():
        file.rename(file.with_name(file.name.replace("legacysurvey-", "deep-")))
    found = Coadds(LocalBricks(tmp_path, survey), size=20, survey=survey).cut(
        ["1500p020"], np.array([150.0]), np.array([2.0])
    )
    assert found.images.shape == (1, 20, 20, 4)
    y, x = (int(v[0]) for v in (found.columns["offset_y_px"], found.columns["offset_x_px"]))
    assert (abs(y), abs(x)) <= (1, 1)
    whole = pixels["J"]
    first = found.images[0, 0, 0, 2]
    rows, columns = np.nonzero(whole == first)
    assert any(
        np.array_equal(found.images[0, ..., 2], whole[r : r + 20, c : c + 20])
        for r, c in zip(rows, columns, strict=True)
    )
    with pytest.raises(InputError, match=r"holds no mosaics/ and no deep-BRICK-image-\*.fits"):
        LocalBricks(tmp_path / "mosaics/150", survey)
