"""`cutout` over brick coadds: one result whatever the workers and the kills; what cannot be cut is refused."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zarr

from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.store import open_store
from lensctl.io.imaging.coadds import Coadds, CoaddSource
from lensctl.io.imaging.local_bricks import LocalBricks
from lensctl.io.imaging.making import MadeStore, ahead, checked, make, part_of
from lensctl.io.imaging.source import BEFORE
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, step_input
from lensctl.rules import quality
from lensctl.rules.errors import InputError
from tests.toys.coadds import make_brick, make_maskbits, objects
from tests.toys.folders import folder_digest

SIZE = 21


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    make_brick(folder, "1500p020")
    make_brick(folder, "1502p020", bands="gz")
    return folder


def table(*names: str, each: int = 6) -> pa.Table:
    rows = pa.concat_tables([objects(name, each, spread_px=60.0) for name in names or ("1500p020", "1502p020")])
    count = rows.num_rows
    more = {"type": ["SER"] * count, "nobs_z": np.arange(count, dtype=np.int16), "shape_r": np.ones(count)}
    for name, values in more.items():
        rows = rows.append_column(name, pa.array(values))
    return rows


def cut(
    root: Path,
    path: Path,
    rows: pa.Table,
    *,
    processes: int = 1,
    overwrite: bool = False,
    advance: Callable[[Counter[str]], None] = lambda statuses: None,
    **lies: object,
) -> MadeStore:
    layout = Layout(rows.num_rows, **({"size": SIZE, "shard_rows": 5} | lies))
    source = CoaddSource(str(root), layout.size, processes=processes, planes=layout.planes)
    inputs = (step_input("table", "t.parquet", digests.of_table(rows)),)
    chain = (Step("cutout", {"size": layout.size, "shard_rows": layout.shard_rows}, inputs),)
    return make(rows, str(path), source, layout, chain, overwrite=overwrite, advance=advance)


def test_the_store_holds_every_row_in_order_with_pixels_quality_and_what_travels_along(
    root: Path, tmp_path: Path
) -> None:
    rows = table("1502p020", "1500p020")
    made = cut(root, tmp_path / "a.zarr", rows)
    assert made.statuses == {"missing_band": 6, "ok": 6}
    assert (made.cut, made.without_pixels) == (12, 0)
    index = made.store.index
    assert index["galaxy_id"].to_pylist() == rows["galaxy_id"].to_pylist()
    assert index["ra"].to_pylist() == rows["ra"].to_pylist()
    assert index["meta_type"].to_pylist() == ["SER"] * 12
    assert index["meta_nobs_z"].to_pylist() == list(range(12))
    assert "meta_shape_r" not in index.column_names, "only what an .npz of the plan has"
    assert index["downloaded_at"].null_count == index["seconds"].null_count == 12
    images = made.store.read(np.arange(12))
    alone = Coadds(LocalBricks(root), size=SIZE)
    for row, (brick, ra, dec) in enumerate(
        zip(["1502p020"] * 6 + ["1500p020"] * 6, rows["ra"].to_numpy(), rows["dec"].to_numpy(), strict=True)
    ):
        slow = alone.cut([brick], np.array([ra]), np.array([dec])).images
        assert np.array_equal(images[row], slow[0], equal_nan=True)
    assert index["cutout_sha256"].to_pylist() == quality.fingerprints(images)
    measured = quality.measure(images, "grz")
    np.testing.assert_array_equal(index["p50_g"].to_numpy(), measured["p50_g"])


def test_workers_make_no_difference(root: Path, tmp_path: Path) -> None:
    rows = table(each=20).take(np.random.default_rng(0).permutation(40))
    for processes in (1, 2):
        (tmp_path / str(processes)).mkdir()
        cut(root, tmp_path / str(processes) / "a.zarr", rows, processes=processes)
    assert folder_digest(tmp_path / "1") == folder_digest(tmp_path / "2")


def test_the_same_command_finds_nothing_to_do(root: Path, tmp_path: Path) -> None:
    cut(root, tmp_path / "a.zarr", table())
    before = folder_digest(tmp_path / "a.zarr")
    again = cut(root, tmp_path / "a.zarr", table())
    assert again.cut == 0
    assert again.statuses == {"missing_band": 6, "ok": 6}
    assert folder_digest(tmp_path / "a.zarr") == before


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (table(each=5), {}, "table digest was .* and is"),
        (table(), {"size": 31}, "size was 21 and is 31"),
        (table(), {"shard_rows": 4}, "shard_rows was 5 and is 4"),
    ],
)
def test_another_table_or_other_parameters_are_refused(
    root: Path, tmp_path: Path, rows: pa.Table, options: dict[str, int], message: str
) -> None:
    cut(root, tmp_path / "a.zarr", table())
    before = folder_digest(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        cut(root, tmp_path / "a.zarr", rows, **options)
    assert "--overwrite" in caught.value.fix
    assert folder_digest(tmp_path) == before
    assert cut(root, tmp_path / "a.zarr", rows, overwrite=True, **options).store.n == rows.num_rows


class Killed(BaseException):
    """A stand-in for kill -9."""


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table(each=12)
    (tmp_path / "whole").mkdir()
    cut(root, tmp_path / "whole/a.zarr", rows)
    asked: list[int] = []
    slow = Coadds.cut

    def counted(self: Coadds, bricks: list[str], *place: np.ndarray):
        asked.append(len(bricks))
        if len(asked) == 3:
            raise Killed
        return slow(self, bricks, *place)

    monkeypatch.setattr(Coadds, "cut", counted)
    with pytest.raises(Killed):
        cut(root, tmp_path / "a.zarr", rows)
    assert not (tmp_path / "a.zarr").exists()
    asked[:] = [0] * 10
    made = cut(root, tmp_path / "a.zarr", rows)
    assert (made.cut, sum(asked)) == (14, 14), "two shards of five were done"
    assert folder_digest(tmp_path / "a.zarr") == folder_digest(tmp_path / "whole/a.zarr")
    assert {path.name for path in tmp_path.iterdir()} == {"a.zarr", "whole"}


def test_a_run_begun_otherwise_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(Coadds, "cut", killed)
    with pytest.raises(Killed):
        cut(root, tmp_path / "a.zarr", table())
    monkeypatch.undo()
    with pytest.raises(InputError, match="started by another run: size was 21 and is 31"):
        cut(root, tmp_path / "a.zarr", table(), size=31)
    assert cut(root, tmp_path / "a.zarr", table(), size=31, overwrite=True).store.size == 31


def test_a_brick_that_comes_later_is_taken_up_and_nothing_else_is_touched(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "full")
    shutil.copytree(root, tmp_path / "survey")
    shutil.rmtree(tmp_path / "survey/south/coadd/150/1500p020")
    rows = table("1502p020", "1500p020")
    first = cut(tmp_path / "survey", tmp_path / "a.zarr", rows)
    assert first.statuses == {"missing_band": 6, "missing_brick": 6}
    assert np.isnan(first.store.read(np.arange(6, 12))).all()
    before = folder_digest(tmp_path / "a.zarr")
    still = cut(tmp_path / "survey", tmp_path / "a.zarr", rows)
    assert still.statuses == first.statuses
    assert folder_digest(tmp_path / "a.zarr") == before
    shutil.copytree(root / "south/coadd/150/1500p020", tmp_path / "survey/south/coadd/150/1500p020")
    untouched = (tmp_path / "a.zarr/images/c/0/0/0/0").stat().st_ino
    second = cut(tmp_path / "survey", tmp_path / "a.zarr", rows)
    assert second.statuses == {"missing_band": 6, "ok": 6}
    assert second.cut == 6
    assert (tmp_path / "a.zarr/images/c/0/0/0/0").stat().st_ino == untouched
    cut(tmp_path / "full", tmp_path / "b.zarr", rows)
    assert folder_digest(tmp_path / "a.zarr") == folder_digest(tmp_path / "b.zarr")


def test_progress_tells_of_every_row_once_in_each_run(root: Path, tmp_path: Path) -> None:
    part = Path(shutil.copytree(root, tmp_path / "survey"))
    shutil.rmtree(part / "south/coadd/150/1502p020")
    rows = table()
    told = [Counter[str]() for _ in range(3)]
    cut(part, tmp_path / "a.zarr", rows, advance=told[0].update)
    shutil.copytree(root / "south/coadd/150/1502p020", part / "south/coadd/150/1502p020")
    cut(part, tmp_path / "a.zarr", rows, advance=told[1].update)
    cut(part, tmp_path / "a.zarr", rows, advance=told[2].update)
    failed = told[0]["missing_brick"]
    assert told[0] == {BEFORE: 0, "ok": 6, "missing_brick": failed}
    assert told[1][BEFORE] == rows.num_rows - failed
    assert told[2] == {BEFORE: rows.num_rows}
    assert {statuses.total() for statuses in told} == {rows.num_rows}


PLANES = ("invvar", "maskbits")


@pytest.fixture(scope="module")
def deep(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(root, tmp_path_factory.mktemp("deep") / "survey"))
    for name in ("1500p020", "1502p020"):
        make_brick(folder, name, kind="invvar", bands="gz", seed=5)
        make_maskbits(folder, name)
    return folder


def test_further_planes_lie_beside_the_images_for_any_zarr_reader(deep: Path, tmp_path: Path) -> None:
    rows = table()
    made = cut(deep, tmp_path / "a.zarr", rows, planes=PLANES, codec="lz4")
    assert made.statuses == {"missing_band": 6, "ok": 6}
    alone = Coadds(LocalBricks(deep), size=SIZE, planes=PLANES)
    bricks = [name.partition("_")[0] for name in rows["galaxy_id"].to_pylist()]
    expected = alone.cut(bricks, rows["ra"].to_numpy(), rows["dec"].to_numpy())
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert sorted(group.array_keys()) == ["cutout_ok", "dec", "images", "invvar", "maskbits", "ra"]
    assert sorted(zarr.open_consolidated(tmp_path / "a.zarr").array_keys()) == sorted(group.array_keys())
    for name in PLANES:
        assert np.array_equal(group[name][:], expected.planes[name], equal_nan=name == "invvar")
        assert np.array_equal(made.store.read_plane(name, 3, 9), expected.planes[name][3:9], equal_nan=name == "invvar")
    assert group["maskbits"].dtype == np.int32
    assert group["maskbits"].fill_value == -1
    assert group["invvar"].metadata.dimension_names == ("row", "y", "x", "band")
    assert group["maskbits"].metadata.dimension_names == ("row", "y", "x")
    with pytest.raises(InputError, match="no array 'psfsize'"):
        made.store.read_plane("psfsize", 0, 1)


@pytest.mark.parametrize("how", ["gone", "cut short"])
def test_a_further_plane_that_is_not_whole_is_refused_by_name(deep: Path, tmp_path: Path, how: str) -> None:
    cut(deep, tmp_path / "a.zarr", table(), planes=PLANES)
    shard = tmp_path / "a.zarr/maskbits/c/1/0/0"
    content = shard.read_bytes()
    shard.unlink()
    if how == "cut short":
        shard.write_bytes(content[:-9])
    with pytest.raises(InputError, match="maskbits/c/1/0/0 (is missing|has)"):
        open_store(tmp_path / "a.zarr")


def test_further_planes_go_on_after_a_kill_and_are_taken_up_with_a_brick_that_comes_later(
    deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table(each=12)
    (tmp_path / "whole").mkdir()
    cut(deep, tmp_path / "whole/a.zarr", rows, planes=PLANES)
    slow, calls = Coadds.cut, [0]

    def killed(self: Coadds, *what: object):
        calls[0] += 1
        if calls[0] == 3:
            raise Killed
        return slow(self, *what)

    monkeypatch.setattr(Coadds, "cut", killed)
    with pytest.raises(Killed):
        cut(deep, tmp_path / "a.zarr", rows, planes=PLANES)
    shutil.rmtree(tmp_path / ".a.zarr.part/whole/maskbits/c/1")
    cut(deep, tmp_path / "a.zarr", rows, planes=PLANES)
    assert folder_digest(tmp_path / "a.zarr") == folder_digest(tmp_path / "whole/a.zarr")

    part = Path(shutil.copytree(deep, tmp_path / "survey"))
    shutil.rmtree(part / "south/coadd/150/1502p020")
    assert cut(part, tmp_path / "b.zarr", rows, planes=PLANES).statuses["missing_brick"] == 12
    shutil.copytree(deep / "south/coadd/150/1502p020", part / "south/coadd/150/1502p020")
    assert cut(part, tmp_path / "b.zarr", rows, planes=PLANES).cut == 12
    assert folder_digest(tmp_path / "b.zarr") == folder_digest(tmp_path / "whole/a.zarr")


def test_what_is_ahead_is_counted(root: Path) -> None:
    counts = ahead(table(), CoaddSource(str(root)), Layout(12, 101, shard_rows=5))
    assert counts == {"rows": 12, "shards": 3, "bytes": 12 * 101 * 101 * 12, "bricks": 2, "outside_footprint": 0}


def test_a_store_in_the_way_of_something_else_is_kept(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/precious").write_text("x")
    with pytest.raises(InputError, match="is not a cutout store"):
        cut(root, tmp_path / "a.zarr", table())
    assert (tmp_path / "a.zarr/precious").exists()


GOOD = {"galaxy_id": ["1500p020_1", "1500p020_2"], "ra": [150.0, 150.1], "dec": [2.0, 2.0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ra": [150.0, float("nan")]}, "'ra' is null or NaN in 1 rows, first in row 1"),
        ({"dec": [2.0, None]}, "'dec' is null or NaN"),
        ({"ra": [150.0, 361.0]}, "ra = 361.0 in row 1"),
        ({"ra": [-0.1, 150.0]}, "ra = -0.1 in row 0"),
        ({"dec": [2.0, 90.5]}, "dec = 90.5 in row 1"),
        ({"ra": ["a", "b"]}, "column 'ra' is string"),
        ({"galaxy_id": ["a_1", None]}, "'galaxy_id' is null"),
        ({"galaxy_id": ["a_1", "a_1"]}, "occur in more than one row: a_1"),
        ({"galaxy_id": ["a_1", "../a"]}, "row 1: galaxy_id '../a' has a /"),
        ({"galaxy_id": ["..", "a_1"]}, "begins with ."),
        ({"galaxy_id": ["", "a_1"]}, "is empty"),
        ({"galaxy_id": ["a\n1", "a_1"]}, "control character"),
        ({"galaxy_id": ["a" * 250, "a_1"]}, "longer than 255 bytes"),
        ({"galaxy_id": [], "ra": pa.array([], pa.float64()), "dec": pa.array([], pa.float64())}, "no rows"),
        ({"dec": None}, "column 'dec' is missing"),
        ({"galaxy_id": None}, "column 'galaxy_id' is missing"),
    ],
)
def test_a_table_that_cannot_be_cut_is_refused(change: dict[str, object], message: str) -> None:
    columns = {name: values for name, values in (GOOD | change).items() if values is not None}
    with pytest.raises(InputError, match=message):
        checked(pa.table(columns), "t.parquet")


def test_a_good_table_passes_with_its_columns() -> None:
    rows = checked(pa.table(GOOD | {"mine": [1, 2]}), "t.parquet")
    assert rows.column_names == ["galaxy_id", "ra", "dec", "mine"]


@pytest.mark.parametrize(
    ("lies", "message"),
    [
        ({"size": 0}, "0 px"),
        ({"size": 3001}, "3001 px"),
        ({"codec": "gzip"}, "no codec"),
        ({"shard_rows": 0}, "0 rows"),
        ({"planes": ("psf",)}, "no plane 'psf'"),
    ],
)
def test_settings_that_make_no_store_are_refused(lies: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Layout(**({"rows": 5, "size": 101} | lies))


def test_a_part_is_k_of_n_and_nothing_else():
    assert part_of("1/1") == (1, 1)
    assert part_of("3/8") == (3, 8)
    for text in ("0/2", "3/2", "1", "1/0", "-1/2", "1/2/3", "a/b", ""):
        with pytest.raises(InputError, match="is not a part"):
            part_of(text)
