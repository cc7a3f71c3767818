"""`lensctl.hosts.hosts`: weights, redshifts, provenance, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from lensctl.astro.geometry import separation
from lensctl.hosts import hosts
from lensctl.io.provenance.steps import Step, chain_of, stamp
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from tests.toys import host_pools as toys
from tests.toys.reporters import Saying


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a pool, positives and a lens catalogue."""
    monkeypatch.chdir(tmp_path)
    write_table(toys.pool(20_000, 3), "pool.parquet")
    write_table(toys.positives(3000, 4), "positives.parquet")
    write_table(toys.catalogue(np.array([10.0]), np.array([80.0])), "lenses.csv")
    return tmp_path


def quantities(table):
    return np.stack([np.log(v) if n == "shape_r" else v for n in toys.MATCHED for v in [table[n].to_numpy()]], axis=1)


def test_the_weight_makes_the_means_those_of_the_train_and_val_lenses(place):
    said = Saying()
    lenses = read_table("positives.parquet")
    elsewhere = toys.positives(3000, 9, mag=(20.0, 0.1))  # test lenses of another kind must not count
    others = elsewhere.filter(pa.array(np.array(elsewhere["split"].to_pylist()) == "test"))
    taught = lenses.filter(pa.array(np.array(lenses["split"].to_pylist()) != "test"))
    write_table(pa.concat_tables([taught, others]), "both.parquet")
    made = hosts("pool.parquet", "h.parquet", lenses="lenses.csv", positives="both.parquet", report=said)
    found = read_table("h.parquet")
    weight = found["host_weight"].to_numpy()
    assert weight.mean() == pytest.approx(1)
    effective = weight.sum() ** 2 / (weight**2).sum()
    assert made["effective"] == pytest.approx(effective, abs=0.1)
    values, target = quantities(found), quantities(taught)
    mean = np.average(values, weights=weight, axis=0)
    error = np.hypot(target.std(axis=0) / np.sqrt(len(target)), target.std(axis=0) / np.sqrt(effective))
    assert (np.abs(mean - target.mean(axis=0)) < 4 * error).all()
    assert (np.abs(values.mean(axis=0) - target.mean(axis=0)) > 4 * error).all(), "there was something to do"
    assert made["resembled"] <= taught.num_rows
    assert any("train and val lenses have mag_z" in line for line in said.said)


def test_lenses_outside_the_criteria_of_hosts_do_not_spoil_the_weight(place):
    blue = toys.positives(2000, 5, g_r=(0.4, 0.05))
    write_table(pa.concat_tables([toys.positives(3000, 4), blue]), "more.parquet")
    for name in ("positives", "more"):
        hosts("pool.parquet", f"{name}.h.parquet", lenses="lenses.csv", positives=f"{name}.parquet", exclude_arcsec=0)
    first, second = (read_table(f"{name}.h.parquet")["host_weight"] for name in ("positives", "more"))
    assert first.equals(second)


def test_without_positives_the_weight_is_1_and_all_columns_of_the_pool_are_there(place):
    made = hosts("pool.parquet", "h.parquet", lenses="lenses.csv", count=50)
    found, pool = read_table("h.parquet"), read_table("pool.parquet")
    assert (made["rows"], found.num_rows) == (50, 50)
    assert found.column_names == [*pool.column_names, "host_weight", "z_host", "z_source"]
    assert set(found["host_weight"].to_pylist()) == {1.0}
    rows = {row["galaxy_id"]: row for row in pool.to_pylist()}
    assert all(row.items() >= rows[row["galaxy_id"]].items() for row in found.to_pylist())
    assert found["z_source"].to_pylist().count("colour") == made["z_colour"] > 0
    step = chain_of(found)[-1]
    assert (step.command, step.parameters["seed"], step.parameters["split"]) == ("hosts", 42, "test")
    assert [source.role for source in step.inputs] == ["pool", "lenses"]


def test_hosts_stay_away_from_every_catalogue_and_from_positives(place):
    hosts("pool.parquet", "all.parquet", lenses="lenses.csv")
    everyone = read_table("all.parquet")
    ra, dec = (everyone[axis].to_numpy() for axis in ("ra", "dec"))
    write_table(toys.catalogue(ra[:20], dec[:20] + 20 / 3600), "a.csv")
    write_table(toys.catalogue(ra[20:40], dec[20:40] - 20 / 3600), "b.csv")
    lenses = toys.positives(400, 6)
    at = pa.array(np.concatenate([ra[40:60], lenses["ra"].to_numpy()[20:]]))
    lenses = lenses.set_column(lenses.column_names.index("ra"), "ra", at)
    at = pa.array(np.concatenate([dec[40:60], lenses["dec"].to_numpy()[20:]]))
    write_table(lenses.set_column(lenses.column_names.index("dec"), "dec", at), "p.parquet")
    made = hosts("pool.parquet", "h.parquet", lenses=["a.csv", "b.csv"], positives="p.parquet")
    found = read_table("h.parquet")
    assert made["near_lenses"] == 60
    assert {*found["galaxy_id"].to_pylist()} == {*everyone["galaxy_id"].to_pylist()[60:]}
    for name in ("a.csv", "b.csv"):
        for lens in read_table(name).to_pylist():
            assert separation(lens["ra"], lens["dec"], found["ra"], found["dec"]).min() > 30


@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_bytes_from_any_order_of_rows(place, weighted):
    pool, lenses = read_table("pool.parquet"), read_table("positives.parquet")
    rng = np.random.default_rng(1)
    written = []
    for name in ("one", "two"):
        write_table(pool, f"{name}.parquet")
        write_table(lenses, f"{name}.p.parquet")
        more = {"positives": f"{name}.p.parquet"} if weighted else {}
        hosts(f"{name}.parquet", f"{name}.csv", lenses="lenses.csv", count=500, **more)
        written.append((place / f"{name}.csv").read_bytes())
        pool, lenses = (t.take(pa.array(rng.permutation(t.num_rows))) for t in (pool, lenses))
    assert written[0] == written[1]


def test_z_phot_counts_before_colours(place):
    pool = toys.pool(3000, 3)
    z = np.full(pool.num_rows, 0.4, "f4")
    z[::2] = np.nan
    write_table(pool.append_column("z_phot", pa.array(z)), "z.parquet")
    made = hosts("z.parquet", "h.parquet", lenses="lenses.csv")
    found = read_table("h.parquet")
    assert min(made["z_phot"], made["z_colour"]) > 20
    of = dict(zip(found["galaxy_id"].to_pylist(), found["z_source"].to_pylist(), strict=True))
    assert all((of[id] == "z_phot") == (int(id.split("_")[1]) % 2 == 1) for id in of if of[id])


REFUSED = {
    "no lens catalogue is given": {"lenses": ()},
    "no split 'tes'": {"split": "tes"},
    "no confuser class 'rings'": {"category": "rings"},
    "not weighted as lenses": {"category": "ring_proxy", "positives": "positives.parquet"},
    "count is 0": {"count": 0},
    "exclude_arcsec": {"exclude_arcsec": -1.0},
    "no galaxy of the pool meets the criteria": {"exclude_arcsec": 3000.0, "lenses": "everywhere.csv"},
    "2 train and val lenses are too few": {"positives": "few.parquet"},
    "h.csv exists": {"output": "h.csv"},
    "column 'split' is missing": {"pool": "splitless.parquet"},
    "columns 'sersic', 'mag_z' are missing": {"pool": "lacking.parquet"},
    "its lenses are in hours": {"lenses": "hours.csv"},
    "is of survey ls-dr10, not of ls-dr10-griz": {"positives": "griz.parquet"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_it_refuses_in_a_sentence_and_writes_nothing(place, message):
    pool = read_table("pool.parquet")
    lenses = toys.positives(60, 4)
    (place / "h.csv").write_text("mine")
    everyone = pool.filter(pa.array(np.array(pool["split"].to_pylist()) == "test"))
    write_table(toys.catalogue(everyone["ra"].to_numpy(), everyone["dec"].to_numpy()), "everywhere.csv")
    write_table(toys.catalogue(pool["ra"].to_numpy()[:500] / 15, pool["dec"].to_numpy()[:500]), "hours.csv")
    write_table(lenses.filter(pa.array(np.array(lenses["split"].to_pylist()) == "train")).slice(0, 2), "few.parquet")
    write_table(pool.drop_columns(["split"]), "splitless.parquet")
    write_table(pool.drop_columns(["mag_z", "sersic"]), "lacking.parquet")
    write_table(stamp(lenses, (Step("crossmatch", {}, survey=LS_DR10_GRIZ),)), "griz.parquet")
    write_table(stamp(pool, (Step("pool", {}),)), "pool.parquet", overwrite=True)
    given = {"pool": "pool.parquet", "output": "out.parquet", "lenses": "lenses.csv", **REFUSED[message]}
    with pytest.raises(InputError, match=message) as error:
        hosts(given.pop("pool"), given.pop("output"), **given)
    assert error.value.fix
    assert not (place / "out.parquet").exists()
    assert (place / "h.csv").read_text() == "mine"


def test_fewer_than_asked_for_and_a_catalogue_of_another_sky_are_said(place):
    said = Saying()
    hosts("pool.parquet", "h.parquet", lenses="lenses.csv", report=said)
    assert any("of 10,000 hosts: the pool has no more" in line for line in said.said)
    assert any("none lies within 30 arcsec of any of the 1 lenses of lenses.csv" in line for line in said.said)


def test_another_survey_has_criteria_of_its_own(place):
    bright = dataclasses.replace(LS_DR10, name="bright", hosts={"bright": "mag_r < 19.5"})
    made = hosts("pool.parquet", "h.parquet", lenses="lenses.csv", survey=bright)
    assert made["rows"] > 20
    assert max(read_table("h.parquet")["mag_r"].to_pylist()) < 19.5
