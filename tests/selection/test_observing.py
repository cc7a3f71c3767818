"""`selection observe`: every row gets what is seen in its own cutout, whatever the order, and nothing else changes."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from lensctl.injection import observables
from lensctl.io.cutouts.store import open_store
from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.selection import observe
from tests.toys.hosts import PSFSIZE, make_hosts
from tests.toys.injections import spoiled
from tests.toys.observed import make_scored, write_scored
from tests.toys.reporters import Saying
from tests.toys.rings import changed

NAMES = observables.names(LS_DR10)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    return make_scored(tmp_path_factory.mktemp("scored"))


@pytest.fixture
def copied(scored, tmp_path):
    """Scores and store in a folder of their own, the store not to be changed."""
    shutil.copy(scored[0], tmp_path / "scores.parquet")
    return tmp_path / "scores.parquet", scored[1]


def test_every_row_has_what_is_seen_in_its_cutout(scored, tmp_path):
    path, store = scored
    receipt = observe(path, store.path, tmp_path / "seen.parquet", workers=1)
    assert receipt == {
        "command": "selection",
        "action": "observe",
        "output": str(tmp_path / "seen.parquet"),
        "rows": 12,
        "observed": 12,
        "left_out": {},
    }
    before, after = read_table(str(path)), read_table(str(tmp_path / "seen.parquet"))
    assert_frame_equal(after.select(before.column_names).to_pandas(), before.to_pandas())
    assert tuple(after.column_names[before.num_columns :]) == NAMES
    ids = store.index["galaxy_id"].to_pylist()
    for i in range(after.num_rows):
        image = store.read([ids.index(after["galaxy_id"][i].as_py())])
        expected = observables.observe(image, PSFSIZE[None].astype(np.float32).astype(float), LS_DR10)
        for name in NAMES:
            found = after[name][i].as_py()
            assert (found is None and np.isnan(expected[name][0])) or found == expected[name][0], name
    assert [step.command for step in chain_of(after)][-1] == "selection observe"
    assert {"inject", "score"} <= {step.command for step in chain_of(after)}


def test_blocks_and_workers_change_nothing(scored, tmp_path, monkeypatch):
    path, store = scored
    observe(path, store.path, tmp_path / "one.parquet", workers=1)
    observe(path, store.path, tmp_path / "two.parquet", workers=2)
    monkeypatch.setattr("lensctl.selection.observing.BLOCK_ROWS", 5)
    observe(path, store.path, tmp_path / "five.parquet", workers=1)
    assert len({(tmp_path / f"{name}.parquet").read_bytes() for name in ("one", "two", "five")}) == 1


def test_bright_arcs_are_seen_where_their_light_is(tmp_path):
    (tmp_path / "bright.yaml").write_text("theta_e_arcsec: [1.5, 2.5]\nlensed_mag: [18.5, 19]\n")
    path, store = make_scored(tmp_path, 8, design=tmp_path / "bright.yaml")
    ids = store.index["galaxy_id"].to_pylist()
    observe(path, store.path, tmp_path / "seen.parquet", workers=1)
    seen = read_table(str(tmp_path / "seen.parquet")).to_pandas().set_index("galaxy_id").loc[ids]
    axis = (np.arange(101) - 50) * 0.262
    light = np.maximum(store.read_plane("arcs", 0, store.n)[..., 0].astype(float), 0)
    radius = np.hypot(axis[:, None], axis[None, :])
    of_light = (light * radius).sum(axis=(1, 2)) / light.sum(axis=(1, 2))
    inside = of_light < 4
    assert inside.sum() > 10
    assert np.median(np.abs(seen["obs_theta"] - of_light)[inside]) < 0.3
    assert seen["obs_snr_g"].min() > 20


def test_rows_without_pixels_have_nulls_and_are_counted(copied, tmp_path):
    path, store = copied

    def fail(pixels, columns):
        pixels["images"][:2] = np.nan
        columns["status"][:2] = "missing_brick"
        columns["cutout_ok"][:2] = False

    failed = open_store(spoiled(store.path, tmp_path / "failed.zarr", fail))
    table = read_table(str(path))
    other = changed(table.drop_columns(["cutout_sha256"]), "galaxy_id", 0, "elsewhere_1")
    report = Saying()
    receipt = observe(
        write_scored(tmp_path, other, store), failed.path, tmp_path / "seen.parquet", workers=1, report=report
    )
    gone = {"elsewhere_1", *failed.index["galaxy_id"].to_pylist()[:2]}
    seen = read_table(str(tmp_path / "seen.parquet"))
    here = set(seen["galaxy_id"].to_pylist()) - gone
    for name in NAMES:
        known = {id for id, value in zip(seen["galaxy_id"].to_pylist(), seen[name].to_pylist(), strict=True)
                 if value is not None}  # fmt: skip
        some = name in observables.ARC_CENTRE  # faint arcs have no place
        assert known <= here if some else known == here, name
    assert receipt["left_out"] == {"missing_brick": 2, "not in the store": 1}
    assert receipt["observed"] == 9
    assert "nothing observed for 2 rows: missing_brick" in report.said


def test_scores_of_a_manifest_find_psfsize_in_the_store(copied, tmp_path):
    path, store = copied
    table = read_table(str(path))
    observe(path, store.path, tmp_path / "one.parquet", workers=1)
    bare = table.drop_columns([f"psfsize_{band}" for band in "grz"])
    observe(write_scored(tmp_path, bare, store), store.path, tmp_path / "two.parquet", workers=1)
    one, two = (read_table(str(tmp_path / f"{name}.parquet")) for name in ("one", "two"))
    assert one.select(NAMES).equals(two.select(NAMES))


def _drop(table: pa.Table, *names: str) -> pa.Table:
    return table.drop_columns([name for name in table.column_names if name.startswith(names)])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: _drop(t, "galaxy_id"), "column 'galaxy_id' is missing"),
        (lambda t: changed(t, "galaxy_id", 3, None), "column 'galaxy_id' is null or NaN in 1 rows"),
        (lambda t: t.append_column("obs_theta", pa.nulls(12, pa.float64())), "already has a column 'obs_theta'"),
        (lambda t: changed(t, "ra", 2, 10.0), "1 of 12 cutouts lie elsewhere than their row says"),
        (lambda t: changed(t, "cutout_sha256", 2, "0" * 64), "1 cutouts have other pixels than .* recorded"),
        (
            lambda t: t.set_column(0, "galaxy_id", pa.array([f"x_{i}" for i in range(12)])),
            r"has good cutouts of none of the 12 rows of .*scores.parquet \(12 not in the store\)",
        ),
    ],
)
def test_what_cannot_be_observed_is_a_sentence_and_nothing_is_written(copied, tmp_path, spoil, message):
    path, store = copied
    path = write_scored(tmp_path, spoil(read_table(str(path))), store)
    with pytest.raises(InputError, match=message):
        observe(path, store.path, tmp_path / "seen.parquet", workers=1)
    assert not (tmp_path / "seen.parquet").exists()


def test_no_psfsize_anywhere_is_a_sentence(tmp_path):
    hosts = make_hosts(tmp_path / "h", 4)
    store = open_store(hosts.store)
    path = write_scored(tmp_path, store.index, store)
    with pytest.raises(InputError, match=r"no psfsize_g above 0 for 4 of 4 rows, such as 1500p020_0, nor in"):
        observe(path, store.path, tmp_path / "seen.parquet", workers=1)


def test_spoiled_pixels_are_noticed_unless_told_not_to_look(copied, tmp_path):
    path, store = copied
    shutil.copytree(store.path, tmp_path / "touched.zarr")
    shard = next(p for p in (tmp_path / "touched.zarr" / "images" / "c").rglob("*") if p.is_file())
    data = bytearray(shard.read_bytes())
    data[5000] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(InputError, match="pixels"):
        observe(path, tmp_path / "touched.zarr", tmp_path / "seen.parquet", workers=1)
    assert observe(path, tmp_path / "touched.zarr", tmp_path / "s.parquet", check_pixels=False, workers=1)["rows"] == 12
