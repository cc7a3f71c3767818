"""Pixels by manifest row: from stores and .npz alike, and never another galaxy's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lensctl.io.cutouts import npz
from lensctl.io.cutouts.by_manifest import Cutouts, verdict
from lensctl.rules import quality
from lensctl.rules.errors import InputError
from tests.toys import damage
from tests.toys.pixels import ids, images, make_store

PIXELS = images(10)
LOOSE = images(3, seed=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of ten cutouts, another of four, and three single files."""
    root = tmp_path_factory.mktemp("cutouts")
    make_store(root / "a.zarr", PIXELS)
    make_store(root / "b.zarr", PIXELS[::-1][:4])
    (root / "loose").mkdir()
    for i, image in enumerate(LOOSE):
        meta = {"meta_galaxy_id": np.array(f"0001m001_{i}"), "meta_ra": np.array(1.0), "meta_dec": np.array(-0.1)}
        meta["meta_layer"] = np.array("ls-dr10")
        npz.write_npz(root / f"loose/{i}.npz", image, meta)
    return root


def manifest() -> pa.Table:
    """Rows of all three, mixed."""
    names = ids(10)
    rows = [(names[i], "a.zarr", i, PIXELS[i]) for i in range(10)]
    rows += [(names[i], "b.zarr", i, PIXELS[9 - i]) for i in range(4)]
    rows += [(f"0001m001_{i}", f"loose/{i}.npz", None, LOOSE[i]) for i in range(3)]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    return pa.table(
        {
            "galaxy_id": [row[0] for row in rows],
            "cutout_path": [row[1] for row in rows],
            "cutout_index": pa.array([row[2] for row in rows], pa.int64()),
            "cutout_sha256": quality.fingerprints(np.stack([row[3] for row in rows])),
        }
    )


def expected(rows: pa.Table) -> np.ndarray:
    known = dict(zip(quality.fingerprints(np.concatenate([PIXELS, LOOSE])), [*PIXELS, *LOOSE], strict=True))
    return np.stack([known[sha] for sha in rows["cutout_sha256"].to_pylist()])


@given(st.lists(st.integers(0, 16), min_size=1, max_size=30), st.one_of(st.none(), st.integers(1, 9)))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_in_the_order_asked_wherever_they_are(folder: Path, rows: list[int], crop: int | None) -> None:
    table = manifest()
    found = Cutouts(table, folder).read(np.array(rows), crop)
    start = 0 if crop is None else (9 - crop) // 2
    middle = slice(start, start + (crop or 9))
    assert np.array_equal(found, expected(table)[rows][:, middle, middle])
    assert np.array_equal(found, Cutouts(table, folder).read(np.array(rows), crop, check=False))


def test_what_is_known_of_the_pixels_comes_by_manifest_row(folder: Path) -> None:
    table = manifest()
    facts = Cutouts(table, folder).facts("source", "layer", "ra")
    for path, row in zip(table["cutout_path"].to_pylist(), facts.to_pylist(), strict=True):
        assert row["source"] == ("npz" if path.endswith(".npz") else "coadd")
        assert row["layer"] == ("ls-dr10" if path.endswith(".npz") else None)


def changed(row: int, **values: object) -> pa.Table:
    rows = manifest().sort_by([("cutout_path", "ascending"), ("cutout_index", "ascending")]).to_pylist()
    rows[row] |= values
    return pa.Table.from_pylist(rows, manifest().schema)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cutout_index": 10}, "cutout_index 10, .*a.zarr has 10 cutouts"),
        ({"galaxy_id": "other"}, "row 0 is other, but its place in .*a.zarr holds 1500p020_0"),
        ({"cutout_index": 1}, "its place in .*a.zarr holds 1500p020_1"),
        ({"cutout_path": "c.zarr"}, "c.zarr: no such store"),
        ({"cutout_path": None}, "'cutout_path' is null"),
    ],
)
def test_a_manifest_of_another_store_is_refused(folder: Path, values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cutouts(changed(0, **values), folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"galaxy_id": "other"}, "holds 0001m001_0, the manifest says other"),
        ({"cutout_path": "loose/9.npz"}, "no such file"),
        ({"cutout_path": "a.zarr"}, "no cutout_index"),
    ],
)
def test_a_manifest_of_another_file_is_refused(folder: Path, values: dict[str, object], message: str) -> None:
    cutouts = Cutouts(changed(14, **values), folder)
    with pytest.raises(InputError, match=message):
        cutouts.read([14])


def test_altered_pixels_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "x")
    damage.flip_bit(tmp_path / "x/a.zarr", 1)
    npz.write_npz(tmp_path / "x/loose/2.npz", LOOSE[0], npz.read_npz(folder / "loose/2.npz").meta)
    table = changed(0)
    for known in (table, table.drop_columns("cutout_sha256"), with_nulls(table)):
        cutouts = Cutouts(known, tmp_path / "x")
        with pytest.raises(InputError, match=r"a\.zarr: the pixels of 1500p020_1 \(row 1\) are not those recorded"):
            cutouts.read([0, 1], 5)
        assert cutouts.read([1], check=False).shape == (1, 9, 9, 3)
        assert cutouts.read([0, 2]).tobytes() == PIXELS[[0, 2]].tobytes()
    with pytest.raises(InputError, match=r"loose/2\.npz: the pixels of 0001m001_2 \(row 16\) are not those recorded"):
        Cutouts(table, tmp_path / "x").read([16])
    unknown = Cutouts(table.drop_columns("cutout_sha256"), tmp_path / "x")  # a file has none of its own
    assert unknown.read([16]).tobytes() == LOOSE[0].tobytes()
    assert unknown.recorded.note == "3 of 17 cutouts have no cutout_sha256: they cannot be compared"


def with_nulls(table: pa.Table) -> pa.Table:
    at = table.column_names.index("cutout_sha256")
    return table.set_column(at, "cutout_sha256", pa.nulls(table.num_rows, pa.string()))


def test_sizes_may_differ_only_under_a_crop(folder: Path, tmp_path: Path) -> None:
    make_store(tmp_path / "big.zarr", images(2, 11))
    shutil.copytree(folder / "a.zarr", tmp_path / "a.zarr")
    table = pa.table(
        {"galaxy_id": ids(2), "cutout_path": ["big.zarr", "a.zarr"], "cutout_index": [0, 1]},
    )
    assert Cutouts(table, tmp_path).read([0, 1], 9).shape == (2, 9, 9, 3)
    with pytest.raises(InputError, match="mixes cutouts of 11 and 9 px"):
        Cutouts(table, tmp_path).read([0, 1])


def test_bands_may_not_differ(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "loose", tmp_path / "loose")
    four = np.repeat(LOOSE[1][..., :1], 4, axis=-1)
    npz.write_npz(tmp_path / "loose/1.npz", four, npz.read_npz(folder / "loose/1.npz").meta)
    table = pa.table({"galaxy_id": ["0001m001_0", "0001m001_1"], "cutout_path": ["loose/0.npz", "loose/1.npz"]})
    with pytest.raises(InputError, match="mixes cutouts of 3 and 4 bands"):
        Cutouts(table, tmp_path).read([0, 1])


def test_every_file_says_where_its_pixels_come_from(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "loose", tmp_path / "loose")
    meta = npz.read_npz(folder / "loose/2.npz").meta
    meta |= {"meta_layer": np.array("hsc-dr2"), "meta_pixel_scale_arcsec": np.array(0.524)}
    npz.write_npz(tmp_path / "loose/2.npz", LOOSE[2], meta)
    files = [f"loose/{i}.npz" for i in range(3)]
    found = Cutouts(pa.table({"galaxy_id": ["a", "b", "c"], "cutout_path": files}), tmp_path).origin()
    assert (found.layers, found.pixel_scales_arcsec) == (("hsc-dr2", "ls-dr10"), (0.524,))


@pytest.mark.parametrize(("shift_arcsec", "refused"), [(0.0, False), (0.09, False), (0.2, True), (6.0, True)])
def test_cutouts_of_another_place_are_refused(folder: Path, shift_arcsec: float, refused: bool) -> None:
    """An id is unique in one release only."""
    ra, dec = 10 + 0.05 * np.arange(10), np.zeros(10)
    dec[3] += shift_arcsec / 3600
    stored = pa.table({"galaxy_id": ids(10), "cutout_path": ["a.zarr"] * 10, "cutout_index": range(10)})
    stored = stored.append_column("ra", pa.array(ra)).append_column("dec", pa.array(dec))
    loose = pa.table({"galaxy_id": ["0001m001_1"], "cutout_path": ["loose/1.npz"], "ra": [1.0]})
    loose = loose.append_column("dec", pa.array([-0.1 + shift_arcsec / 3600]))
    if not refused:
        assert Cutouts(stored, folder).read([3]).shape == Cutouts(loose, folder).read([0]).shape
        return
    with pytest.raises(
        InputError, match=rf"a\.zarr: 1 of 10 cutouts lie elsewhere .*{ids(4)[3]}, {shift_arcsec:g} arc"
    ):
        Cutouts(stored, folder)
    with pytest.raises(InputError, match=rf"1\.npz: 1 of 1 cutouts lie elsewhere .*{shift_arcsec:g} arcsec away"):
        Cutouts(loose, folder).read([0])


@pytest.mark.parametrize("rows", [[17], [-1]])
def test_rows_beyond_the_manifest_are_refused(folder: Path, rows: list[int]) -> None:
    with pytest.raises(InputError, match="no row"):
        Cutouts(manifest(), folder).read(rows)


@pytest.mark.parametrize(
    ("recorded", "found", "said"),
    [
        (None, "ok", "ok"),
        ("ok", "nan_center", "nan_center"),
        ("http_error", "missing_band", "http_error"),
        ("http_error", "ok", "ok"),
        ("what", "missing_band", "missing_band"),
    ],
)
def test_pixels_decide_but_a_recorded_failure_keeps_its_name(recorded: str | None, found: str, said: str) -> None:
    assert verdict(recorded, found) == said
