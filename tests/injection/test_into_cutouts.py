"""Shards of injections: rows, what each task carries, whose arcs are kept, and gains where cutouts do not tell them."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from lensctl.injection import into_cutouts, targets
from lensctl.injection.calibration import Calibration, calibrate
from lensctl.injection.injector import Settings
from lensctl.injection.into_cutouts import HOST_ROW, NUMBER, Injections, rows_of
from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.store import open_store
from lensctl.io.imaging.making import make
from lensctl.io.imaging.source import Task, tasks
from lensctl.io.provenance.steps import Step
from lensctl.rules.survey import LS_DR10
from tests.toys.hosts import GAIN, SKY, Hosts, make_hosts

COUNT = 9


@pytest.fixture(scope="module")
def hosts(tmp_path_factory) -> Hosts:
    return make_hosts(tmp_path_factory.mktemp("hosts"), count=COUNT, status=["half_empty"] + ["ok"] * (COUNT - 1))


def source_of(hosts: Hosts, **changes: object) -> Injections:
    aims = targets.targets_of(hosts.rows, np.tile([0.2, -0.3], (COUNT, 1)), LS_DR10, 42)
    found = calibrate(LS_DR10, hosts.images, hosts.invvar)
    variance = np.tile(SKY / GAIN, (COUNT, 1))
    source = Injections(
        str(hosts.store), np.arange(COUNT), aims, variance, hosts.rows, Settings(), LS_DR10, found, processes=1
    )
    return dataclasses.replace(source, **changes)


def made(source: Injections, folder, per_host: int = 2, shard_rows: int = 4):
    rows = rows_of(source.of_hosts, per_host)
    layout = Layout(rows.num_rows, 101, shard_rows=shard_rows, planes=("invvar", "arcs"))
    make(rows, str(folder / "i.zarr"), source, layout, (Step("inject", {"made": "up"}),))
    return open_store(folder / "i.zarr")


def test_rows_are_those_of_each_host_in_turn_at_its_place(hosts):
    rows = rows_of(hosts.rows, 3)
    assert rows["galaxy_id"].to_pylist() == [
        f"{id}#{k}" for id in hosts.rows["galaxy_id"].to_pylist() for k in range(3)
    ]
    assert rows["ra"].to_pylist() == np.repeat(hosts.rows["ra"].to_numpy(), 3).tolist()
    assert rows[HOST_ROW].to_pylist() == np.repeat(np.arange(COUNT), 3).tolist()
    assert rows[NUMBER].to_pylist() == [0, 1, 2] * COUNT


def test_a_task_carries_its_own_hosts_alone_and_injects_the_same(hosts):
    source, store = source_of(hosts), open_store(hosts.store)
    layout = Layout(2 * COUNT, 101, shard_rows=4)
    for task in tasks(rows_of(hosts.rows, 2), layout, [1, 4], None):
        own, mine = source.of(task)
        rows, k = (task.rows[name].to_numpy() for name in (HOST_ROW, NUMBER))
        assert len(own.aims) == len(own.places) == len(own.variance) == own.of_hosts.num_rows == len(set(rows))
        assert len(pickle.dumps(own)) < len(pickle.dumps(source))
        whole = source.injected(store, rows, k)
        for one, other in zip(whole, own.injected(store, mine.rows[HOST_ROW].to_numpy(), k), strict=True):
            assert one.image.tobytes() == other.image.tobytes()
            assert repr(one.columns) == repr(other.columns)  # NaN equals NaN


def test_the_place_of_a_host_in_its_store_need_not_be_its_row(hosts):
    source, store = source_of(hosts), open_store(hosts.store)
    turned = dataclasses.replace(source, places=source.places[::-1], aims=source.aims[::-1])
    one = next(source.injected(store, np.array([2]), np.array([1])))
    other = next(turned.injected(store, np.array([COUNT - 3]), np.array([1])))
    assert one.image.tobytes() == other.image.tobytes()


def test_more_hosts_than_are_read_at_once_come_in_order(hosts, monkeypatch):
    source, store = source_of(hosts), open_store(hosts.store)
    rows, k = np.repeat(np.arange(COUNT), 2), np.tile([0, 1], COUNT)
    whole = [done.image.tobytes() for done in source.injected(store, rows, k)]
    monkeypatch.setattr(into_cutouts, "BLOCK_HOSTS", 4)
    found = list(source.injected(store, rows, k))
    assert [done.image.tobytes() for done in found] == whole
    assert [done.columns["host_id"] for done in found] == np.repeat(hosts.rows["galaxy_id"].to_pylist(), 2).tolist()


def test_the_arcs_of_the_first_rows_of_the_store_alone_are_kept(hosts, tmp_path, monkeypatch):
    monkeypatch.setattr(into_cutouts, "ARCS_KEPT", 6)
    store = made(source_of(hosts), tmp_path)
    arcs = store.read_plane("arcs", 0, store.n)
    assert np.isfinite(arcs[:6]).all()
    assert np.isnan(arcs[6:]).all()


def test_rows_made_again_keep_arcs_by_their_place_in_the_store(hosts):
    layout = Layout(300, 101, shard_rows=200, planes=("arcs",))
    writer = into_cutouts.ShardWriter(None, layout)
    some = rows_of(hosts.rows, 1).slice(0, 3)
    assert into_cutouts._keep_arcs(Task(1, some, np.array([3, 55, 56])), writer).tolist() == [True, True, False]
    assert into_cutouts._keep_arcs(Task(0, some), writer).all()


def test_status_and_origin_are_those_of_the_host(hosts, tmp_path):
    index = made(source_of(hosts), tmp_path).index
    assert index["status"].to_pylist() == ["half_empty"] * 2 + ["ok"] * (2 * COUNT - 2)
    assert set(index["source"].to_pylist()) == {"injected"}
    assert set(index["layer"].to_pylist()) == {"ls-dr10"}
    assert index["shape_r"].to_pylist() == [1.0] * (2 * COUNT)


def test_gains_are_those_of_each_cutout_and_of_the_catalogue_where_it_does_not_tell(hosts, tmp_path):
    source, rows, k = source_of(hosts), np.arange(COUNT), np.zeros(COUNT, int)
    other = dataclasses.replace(source, variance=3 * source.variance)
    told = [done.columns["gain_r"] for done in other.injected(open_store(hosts.store), rows, k)]
    assert told == pytest.approx([GAIN[1]] * COUNT, rel=0.05)
    assert len(set(told)) == COUNT
    bare = make_hosts(tmp_path / "bare", count=COUNT, invvar=False)
    twice = source_of(hosts, path=str(bare.store), variance=2 * source.variance)
    found = list(twice.injected(open_store(bare.store), rows, k))
    assert [done.columns["gain_r"] for done in found] == pytest.approx([GAIN[1] / 2] * COUNT, rel=0.05)
    assert all(done.invvar is None for done in found)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("measured",) * 3, "measured"),
        (("measured", "nominal", "measured"), "g: measured, r: nominal, z: measured"),
    ],
)
def test_the_source_of_the_gain_is_one_word_or_one_a_band(hosts, tmp_path, words, told):
    found = Calibration(SKY, words, np.ones(3))
    store = made(source_of(hosts, calibration=found), tmp_path, per_host=1)
    assert set(store.index["gain_source"].to_pylist()) == {told}
