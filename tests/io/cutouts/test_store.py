"""The cutout store: anyone can read it, damage is named, and a killed writer's store is as an uninterrupted one's."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorstore
import xarray
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lensctl.io.cutouts import layout
from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.store import Store, is_store, open_store
from lensctl.io.cutouts.writer import StoreWriter
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of
from lensctl.io.storage import resumable
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.io.storage.resumable import job
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.toys import damage
from tests.toys.folders import folder_digest
from tests.toys.hosts import make_hosts
from tests.toys.pixels import CHAIN, ids, images, index, make_store

PIXELS = images(10)
PIXELS[3] = np.nan
PIXELS[4, 0, 0, 1] = np.nan


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("stores") / "a.zarr", PIXELS)


@pytest.fixture
def copied(made: Store, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.path, tmp_path / "a.zarr"))


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_zarr_xarray_and_tensorstore_read_it_without_us(tmp_path: Path, codec: str) -> None:
    path = make_store(tmp_path / "a.zarr", PIXELS, codec=codec).path
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = zarr.open_group(path, mode="r")
        assert sorted(group.array_keys()) == ["cutout_ok", "dec", "images", "ra"]
        assert same(np.asarray(group["images"][:]), PIXELS)
        assert group["images"].metadata.dimension_names == ("row", "y", "x", "band")
        assert group["images"].shards == (4, 9, 9, 3)
        assert group["images"].chunks == (1, 9, 9, 3)
        assert np.isnan(group["images"].fill_value)
        assert group["cutout_ok"][:].tolist() == [True] * 3 + [False] + [True] * 6
        assert zarr.open_consolidated(path)["ra"][:].tolist() == open_store(path).index["ra"].to_pylist()
        with xarray.open_zarr(path) as opened:
            assert opened["images"].dims == ("row", "y", "x", "band")
            assert same(opened["images"].to_numpy(), PIXELS)
            assert opened["ra"].dims == opened["cutout_ok"].dims == ("row",)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/images"}}
    assert same(tensorstore.open(spec).result().read().result(), PIXELS)


def test_the_index_is_plain_parquet_with_the_declared_columns(made: Store) -> None:
    table = pq.read_table(f"{made.path}/index.parquet")
    assert tuple(table.column_names) == made.layout.index_columns
    assert table["galaxy_id"].to_pylist() == ids(10)
    assert chain_of(table) == CHAIN
    assert table["mean_g"][3].as_py() is None


def test_a_store_says_how_it_was_made(made: Store) -> None:
    assert made.attributes["kind"] == "cutouts"
    assert (made.n, made.size, made.bands, made.layout.shards) == (10, 9, ("g", "r", "z"), 3)
    assert made.chain == CHAIN
    assert made.digest == digests.of_table(made.index)
    assert is_store(made.path)
    assert not is_store(Path(made.path).parent)


def with_attributes(path: Path, **changed: object) -> Store:
    """The store with some attributes changed; None removes one."""
    group = json.loads((path / "zarr.json").read_text())
    group["attributes"]["lensctl"].update(changed)
    for name in [name for name, value in changed.items() if value is None]:
        del group["attributes"]["lensctl"][name]
    (path / "zarr.json").write_text(json.dumps(group))
    return open_store(path)


def test_a_store_names_its_survey_and_bands_and_one_of_0_1_0_is_of_ls_dr10(copied: Path) -> None:
    assert open_store(copied).attributes["bands"] == ["g", "r", "z"]
    assert open_store(copied).survey == LS_DR10
    old = with_attributes(copied, bands="grz", survey=None)
    assert (old.bands, old.survey) == (("g", "r", "z"), LS_DR10)
    old.refuse_other_survey()


def test_a_store_whose_bands_are_not_its_surveys_is_refused(copied: Path) -> None:
    with pytest.raises(InputError, match=r"bands z, r, g, survey ls-dr10 has g, r, z"):
        with_attributes(copied, bands=["z", "r", "g"]).refuse_other_survey()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("layer", "hsc-dr3", "hsc-dr3"), ("pixel_scale_arcsec", 0.168, "0.168 arcsec per pixel")],
)
def test_an_old_store_of_another_layer_or_scale_is_not_taken_for_ls_dr10(
    tmp_path: Path, column: str, value: object, message: str
) -> None:
    path = tmp_path / "a.zarr"
    make_store(path, PIXELS)
    rows = pq.read_table(path / "index.parquet")
    place = rows.column_names.index(column)
    spoilt = rows.set_column(place, rows.schema.field(column), pa.array([value] * rows.num_rows, rows[column].type))
    pq.write_table(spoilt, path / "index.parquet")
    open_store(path).refuse_other_survey()  # it names its survey
    with pytest.raises(InputError, match=f"names no survey, and is not of ls-dr10: {message}"):
        with_attributes(path, survey=None).refuse_other_survey()


@given(st.lists(st.integers(0, 9), max_size=20), st.one_of(st.none(), st.integers(1, 9)))
@settings(deadline=None)
def test_rows_come_in_the_order_asked_and_cropped_to_the_middle(made: Store, rows: list[int], crop: int | None) -> None:
    found = made.read(np.array(rows, int), crop)
    start = 0 if crop is None else (9 - crop) // 2
    middle = slice(start, start + (crop or 9))
    assert same(found, PIXELS[rows][:, middle, middle] if rows else np.empty((0, crop or 9, crop or 9, 3), np.float32))


@given(st.integers(0, 10), st.integers(0, 10))
@settings(deadline=None)
def test_ranges_are_rows_in_a_row(made: Store, a: int, b: int) -> None:
    start, stop = sorted((a, b))
    assert same(made.read_range(start, stop, 5), made.read(np.arange(start, stop), 5))


@pytest.mark.parametrize("ask", [lambda s: s.read([10]), lambda s: s.read([-1]), lambda s: s.read_range(5, 11)])
def test_rows_it_does_not_have_are_refused(made: Store, ask) -> None:
    with pytest.raises(InputError, match="has 10 cutouts"):
        ask(made)


def test_a_crop_larger_than_the_cutouts_is_refused(made: Store) -> None:
    with pytest.raises(InputError, match="crop"):
        made.read([0], 11)


def _read_elsewhere(store: Store, rows: list[int]) -> bytes:
    return store.read(rows).tobytes()


def test_another_process_reads_an_open_store(made: Store) -> None:
    made.read([0])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(_read_elsewhere, (made, [5, 3])).get(60) == PIXELS[[5, 3]].tobytes()


def truncate(path: Path, drop: int = 50) -> None:
    path.write_bytes(path.read_bytes()[:-drop])


DAMAGE = {
    "group gone": (lambda p: (p / "zarr.json").unlink(), "zarr.json is missing"),
    "group cut short": (lambda p: truncate(p / "zarr.json"), "zarr.json: damaged"),
    "array gone": (lambda p: (p / "images/zarr.json").unlink(), "images/zarr.json is missing"),
    "shard gone": (lambda p: (p / "images/c/1/0/0/0").unlink(), "images/c/1/0/0/0 is missing"),
    "shard cut short": (lambda p: truncate(p / "images/c/2/0/0/0"), "images/c/2/0/0/0 has"),
    "index gone": (lambda p: (p / "index.parquet").unlink(), "index.parquet: cannot be read"),
    "index cut short": (lambda p: truncate(p / "index.parquet"), "index.parquet: cannot be read"),
    "another's index": (lambda p: pq.write_table(index(images(7)), p / "index.parquet"), "has 7 rows, images 10"),
    "a column gone": (
        lambda p: pq.write_table(index(PIXELS).drop_columns("status"), p / "index.parquet"),
        "column 'status' is missing",
    ),
    "everything gone": (lambda p: shutil.rmtree(p), "no such store"),
    "a file": (lambda p: (shutil.rmtree(p), p.write_text("x")), "a file, not a cutout store"),
    "another group": (
        lambda p: (p / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}'),
        "not a cutout store",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_store_is_refused_by_name(copied: Path, case: str) -> None:
    spoil, message = DAMAGE[case]
    spoil(copied)
    with pytest.raises(InputError, match=message):
        open_store(copied)


@pytest.mark.parametrize("what", ["shape", "chunks"])
def test_an_array_that_says_another_shape_than_the_store_is_refused_when_read(copied: Path, what: str) -> None:
    file = copied / "images/zarr.json"
    said = json.loads(file.read_text())
    if what == "shape":
        said["shape"][0] = 10**9
    else:
        said["codecs"][0]["configuration"]["chunk_shape"][1] = 3
    file.write_text(json.dumps(said))
    with pytest.raises(InputError, match=r"images/zarr\.json: not the shape or chunks of the store"):
        open_store(copied).read([0])


def test_a_shard_whose_index_was_altered_is_refused_when_read(copied: Path) -> None:
    shard = copied / "images/c/0/0/0/0"
    content = bytearray(shard.read_bytes())
    content[-10] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        open_store(copied).read([0])


@pytest.mark.parametrize("crop", [None, 5])
@pytest.mark.parametrize("row", range(10))
def test_one_flipped_bit_is_refused_by_every_read_and_named(copied: Path, row: int, crop: int | None) -> None:
    damage.flip_bit(copied, row)
    store = open_store(copied)
    named = f"a.zarr: the pixels of {ids(10)[row]} \\(row {row}\\) are not those recorded for it"
    for read in (lambda **how: store.read([0, row], crop, **how), lambda **how: store.read_range(0, 10, crop, **how)):
        with pytest.raises(InputError, match=named):
            read()
        read(check=False)
    others = [other for other in range(10) if other != row]
    middle = slice(2, 7) if crop else slice(None)
    assert same(store.read(others, crop), PIXELS[others][:, middle, middle])


@given(st.permutations(range(10)).filter(lambda order: order != list(range(10))))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_index_in_another_order_is_noticed(made: Store, tmp_path_factory: pytest.TempPathFactory, order) -> None:
    path = Path(shutil.copytree(made.path, tmp_path_factory.mktemp("sorted") / "a.zarr"))
    damage.reorder_index(path, order)
    with pytest.raises(InputError, match="are not those recorded for it"):
        open_store(path).read_range(0, 10)


@pytest.mark.parametrize("codec", ["none", "zstd"])
@pytest.mark.parametrize("how", [{}, {"crop": 5}, {"crop": 5, "check": False}])
def test_a_shard_that_goes_after_the_store_was_opened_is_an_error_never_nan(tmp_path: Path, codec: str, how) -> None:
    store = make_store(tmp_path / "a.zarr", PIXELS, codec=codec)
    damage.lose_shard(tmp_path / "a.zarr", 1)
    with pytest.raises(InputError, match=r"a\.zarr/images/c/1/0/0/0 is missing, or pixels in it"):
        store.read([1, 5], **how)
    assert same(store.read([1]), PIXELS[[1]])


def test_cutouts_without_a_recorded_digest_are_read_and_counted(copied: Path) -> None:
    damage.forget(copied, [1, 2])
    damage.flip_bit(copied, 1)
    store = open_store(copied)
    assert store.read([1, 2, 3]).shape == (3, 9, 9, 3)
    assert store.recorded.note == "2 of 10 cutouts have no cutout_sha256: they cannot be compared"


def test_altered_provenance_is_refused(copied: Path) -> None:
    group = json.loads((copied / "zarr.json").read_text())
    group["attributes"]["lensctl"]["provenance"][0]["parameters"]["made"] = "down"
    (copied / "zarr.json").write_text(json.dumps(group))
    with pytest.raises(InputError, match="altered"):
        _ = open_store(copied).chain


def write_shards(path: Path, shards: list[int], *, finish: bool = False, identity: str = "up", **options: bool) -> None:
    layout = Layout(len(PIXELS), 9, LS_DR10.bands, 4)
    with begin_folder(str(path), {"made": identity}, **options) as workplace:
        writer = StoreWriter(workplace, layout)
        for shard in shards if shards != [-1] else writer.missing():
            start, stop = layout.span(shard)
            writer.writer.write(shard, PIXELS[start:stop], index(PIXELS[start:stop], start))
        if finish:
            writer.finish(CHAIN, {})


def test_a_killed_writer_goes_on_and_ends_with_the_same_bytes(made: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_shards(path, [2, 0])
    assert not path.exists()
    (tmp_path / ".a.zarr.part/parts/000002.parquet").unlink()  # killed after the pixels, before the rows
    (tmp_path / ".a.zarr.part/whole/images/c/0/0/0/0.__lock").write_text("left behind")
    (tmp_path / ".a.zarr.part/whole/images/zarr.1f.partial").write_text("left behind")
    layout = Layout(len(PIXELS), 9, LS_DR10.bands, 4)
    with begin_folder(str(path), {"made": "up"}) as workplace:
        assert workplace.job.resumed
        assert StoreWriter(workplace, layout).missing() == [1, 2]
    write_shards(path, [-1], finish=True)
    assert folder_digest(path) == folder_digest(made.path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_shard_that_lost_bytes_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_shards(path, [0, 1])
    truncate(tmp_path / ".a.zarr.part/whole/images/c/1/0/0/0")
    with begin_folder(str(path), {"made": "up"}) as workplace:
        assert StoreWriter(workplace, Layout(len(PIXELS), 9, LS_DR10.bands, 4)).missing() == [1, 2]


def test_another_job_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_shards(path, [0])
    with pytest.raises(InputError, match="made was up and is down") as caught:
        write_shards(path, [1], identity="down")
    assert "--overwrite" in caught.value.fix
    write_shards(path, [0, 1, 2], identity="down", finish=True, overwrite=True, afresh=True)
    assert open_store(path).n == 10


def test_an_existing_output_is_refused_and_kept(copied: Path) -> None:
    before = folder_digest(copied)
    with pytest.raises(InputError, match="exists"):
        write_shards(copied, [0])
    assert folder_digest(copied) == before
    assert [p.name for p in copied.parent.iterdir()] == ["a.zarr"]


def test_a_second_process_on_one_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with job(path, {"made": "up"}), pytest.raises(InputError, match="another process"):
        write_shards(path, [0])
    write_shards(path, [0, 1, 2], finish=True)


def test_shards_of_a_finished_store_are_taken_over_without_a_copy(copied: Path) -> None:
    old = open_store(copied)
    before = folder_digest(copied)
    shard = copied / "images/c/0/0/0/0"
    with begin_folder(str(copied), {"made": "up"}, overwrite=True) as workplace:
        writer = StoreWriter(workplace, old.layout)
        writer.adopt(0, old)
        writer.adopt(2, old)
        assert (workplace.job.built / "images/c/0/0/0/0").samefile(shard)
        assert writer.missing() == [1]
        writer.writer.write(1, PIXELS[4:8], index(PIXELS[4:8], 4))
        assert folder_digest(copied) == before, "nothing shows before the end"
        writer.finish(CHAIN, {})
    assert folder_digest(copied) == before
    assert [p.name for p in copied.parent.iterdir()] == ["a.zarr"]


def test_a_store_cannot_be_finished_with_a_shard_missing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="1 shards are not written"):
        write_shards(tmp_path / "a.zarr", [0, 2], finish=True)
    assert not (tmp_path / "a.zarr").exists()


def test_all_zero_and_all_nan_cutouts_are_really_written(tmp_path: Path) -> None:
    strange = images(3)
    strange[0] = 0.0
    strange[1].view(np.uint32)[:] = 0x7FC00001  # a NaN with something in it
    strange[2] = np.nan
    store = make_store(tmp_path / "a.zarr", strange)
    assert same(store.read([0, 1, 2]), strange)
    index_bytes = 4 * 16 + 4
    assert (tmp_path / "a.zarr/images/c/0/0/0/0").stat().st_size == strange.nbytes + index_bytes


@given(rows=st.integers(1, 40), shard_rows=st.integers(1, 12))
@settings(deadline=None)
def test_shards_cover_every_row_once(rows: int, shard_rows: int) -> None:
    layout = Layout(rows, 9, LS_DR10.bands, shard_rows)
    covered = [row for shard in range(layout.shards) for row in range(*layout.span(shard))]
    assert covered == list(range(rows))


def test_differences_are_named_for_people() -> None:
    before = {"parameters": {"size": 101}, "inputs": [{"role": "table", "digest": "a"}]}
    now = {"parameters": {"size": 64}, "inputs": [{"role": "table", "digest": "b"}]}
    assert resumable.difference(before, now) == "size was 101 and is 64; table digest was a and is b"


def test_columns_not_given_are_null() -> None:
    rows = layout.index_rows(Layout(1, 9), {"galaxy_id": ["a"], "ra": [1.0], "dec": np.array([2.0])})
    assert rows["status"].to_pylist() == [None]
    assert rows.schema.field("http_status").type == pa.int16()


def test_a_store_on_s3_is_read_in_place(made: Store, bucket: str) -> None:
    from lensctl.io.storage import s3

    for file in sorted(Path(made.path).rglob("*")):
        if file.is_file():
            s3.upload(file, f"s3://{bucket}/deep/a.zarr/{file.relative_to(made.path).as_posix()}")
    there = open_store(f"s3://{bucket}/deep/a.zarr")
    assert there.digest == made.digest
    assert is_store(f"s3://{bucket}/deep/a.zarr/")
    assert same(there.read([7, 0, 7], 5), PIXELS[[7, 0, 7]][:, 2:7, 2:7])
    assert same(there.read_range(3, 9), PIXELS[3:9])
    with pytest.raises(InputError, match="no such store"):
        open_store(f"s3://{bucket}/deep/b.zarr")
    s3.delete([f"s3://{bucket}/deep/a.zarr/images/c/2/0/0/0"])
    with pytest.raises(InputError, match=rf"s3://{bucket}/deep/a\.zarr/images/c/2/0/0/0 is missing, or pixels in it"):
        there.read([9], 5)


@pytest.mark.parametrize("name", [".zgroup", ".zarray"])
def test_zarr_2_is_named_with_the_way_to_convert_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "v2.zarr").mkdir()
    (tmp_path / "v2.zarr" / name).write_text('{"zarr_format": 2}')
    for opened in (is_store, open_store):
        with pytest.raises(InputError, match=r"v2\.zarr is Zarr of version 2") as caught:
            opened(tmp_path / "v2.zarr")
        assert "lensctl pack" in caught.value.fix
    (tmp_path / "v2.zarr" / name).unlink()
    assert not is_store(tmp_path / "v2.zarr")


def test_rows_of_a_plane_come_in_any_order_near_or_far(tmp_path):
    hosts = make_hosts(tmp_path, count=12, size=64)
    store = open_store(hosts.store)
    for rows in ([3, 1, 2], [11, 0], [5, 5], []):
        assert store.read_plane_rows("invvar", rows).tobytes() == hosts.invvar[rows].tobytes()
    with pytest.raises(InputError, match="no array 'arcs'"):
        store.read_plane_rows("arcs", [0])


def test_an_index_whose_columns_have_no_utf8_names_is_refused(tmp_path):
    make_store(tmp_path / "s.zarr", images(6))
    file = tmp_path / "s.zarr" / "index.parquet"
    file.write_bytes(file.read_bytes().replace(b"status", b"\xfftatus"))
    with pytest.raises(InputError, match=r"index\.parquet: cannot be read"):
        open_store(tmp_path / "s.zarr")
