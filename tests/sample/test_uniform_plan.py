"""The uniform draw: each row as likely, the same rows whatever the layout and the engine, honest weights."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table, write_table
from lensctl.io.tables.sql import Database
from lensctl.rules import sampling_rule
from lensctl.rules.errors import InputError
from lensctl.sample import sample
from lensctl.sample.choosing import CHOSEN
from lensctl.sample.uniform_plan import plan_uniform
from tests.toys import catalogs as toys
from tests.toys.cases import first

POOL = toys.pool(3000)
JAVA = shutil.which("java") is not None or "JAVA_HOME" in os.environ


def drawn(count, pool=POOL, **how):
    """Ids and weights of a uniform draw, in the order of the ids."""
    with Database(threads=1) as database:
        database.register("pool", pool, located=True)
        planned = plan_uniform(database, pool.schema, count, **how)
        database.keep(CHOSEN, planned.sql)
        rows = pool.take(database.query(f"SELECT * FROM {CHOSEN} ORDER BY __lensctl_row")["__lensctl_row"])
        return sorted(rows["galaxy_id"].to_pylist()), planned


@pytest.mark.parametrize("seed", [0, 42])
def test_it_is_the_first_of_the_order_of_md5(seed):
    order = sorted(POOL["galaxy_id"].to_pylist(), key=lambda name: (sampling_rule.order_key(name, seed), name))
    found, planned = drawn(300, seed=seed)
    assert found == sorted(order[:300])
    assert planned.sampling_weight == POOL.num_rows / 300


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.integers(1, 300), st.integers(0, 300))
def test_a_larger_draw_contains_the_smaller(seed, small, more):
    assert set(drawn(small, seed=seed)[0]) <= set(drawn(small + more, seed=seed)[0])


def test_each_row_is_as_likely():
    """Over 160 seeds every row is drawn as often as a binomial draw allows, of every type and pool alike."""
    few = POOL.slice(0, 40)
    count = dict.fromkeys(few["galaxy_id"].to_pylist(), 0)
    for seed in range(160):
        for name in drawn(10, few, seed=seed)[0]:
            count[name] += 1
    times = np.array(list(count.values()))
    assert times.sum() == 1600
    assert abs(times - 40).max() < 4.5 * np.sqrt(160 * 0.25 * 0.75)


def test_all_rows_may_be_drawn_and_no_more():
    assert drawn(POOL.num_rows)[0] == sorted(POOL["galaxy_id"].to_pylist())
    with pytest.raises(InputError, match=f"--uniform {POOL.num_rows + 1}: the pool has {POOL.num_rows:,} rows"):
        drawn(POOL.num_rows + 1)


def test_a_condition_and_the_lenses_leave_rows_out_and_the_weight_knows_it():
    lens = POOL.filter(pc.equal(POOL["split"], "test")).slice(0, 1)
    lenses = pa.table({"ra": lens["ra"], "dec": lens["dec"]})
    found, planned = drawn(50, where="split = 'test'", lenses=lenses)
    rows = POOL.filter(pc.is_in(POOL["galaxy_id"], pa.array(found)))
    assert set(rows["split"].to_pylist()) == {"test"}
    assert lens["galaxy_id"][0].as_py() not in found
    in_test = pc.sum(pc.equal(POOL["split"], "test")).as_py()
    assert planned.near_lenses >= 1
    assert planned.pool_rows == in_test - planned.near_lenses
    assert planned.sampling_weight == (in_test - planned.near_lenses) / 50


def test_ids_must_be_unique_and_known():
    twice = pa.concat_tables([POOL, POOL.slice(3, 1)])
    with pytest.raises(InputError, match="1 values of 'galaxy_id' occur in more than one row"):
        drawn(5, twice)
    with pytest.raises(InputError, match="column 'galaxy_id' is missing"):
        drawn(5, POOL.drop_columns(["galaxy_id"]))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table(POOL, "pool.parquet")
    return tmp_path


def test_the_table_has_tier_n0_the_weight_and_every_column_of_the_pool(here):
    made = sample("pool.parquet", "out.parquet", uniform=100)
    table = read_table("out.parquet")
    assert made == {
        "command": "sample", "output": "out.parquet", "rows": 100, "drawn_from": POOL.num_rows,
        "sampling_weight": POOL.num_rows / 100, "near_lenses": 0,
    }  # fmt: skip
    assert set(table["tier"].to_pylist()) == {"N0"}
    assert set(table["sampling_weight"].to_pylist()) == {POOL.num_rows / 100}
    assert set(POOL.column_names) <= set(table.column_names)
    step = chain_of(table)[-1]
    assert (step.command, step.parameters["uniform"], step.parameters["where"]) == ("sample", 100, None)


def test_it_stays_away_from_positives_where_they_are_given(here):
    """Of their objects, which may lie apart from the lens that the catalogue names."""
    at = {name: POOL[name].slice(0, 5) for name in ("galaxy_id", "ra", "dec")}
    beside = {"lens_ra": at["ra"], "lens_dec": pc.add(at["dec"], 12 / 3600)}
    write_table(pa.table({**at, **beside}), "positives.parquet")
    made = sample("pool.parquet", "out.parquet", uniform=POOL.num_rows - 60, positives="positives.parquet")
    assert made["near_lenses"] >= 5
    assert not set(at["galaxy_id"].to_pylist()) & set(read_table("out.parquet")["galaxy_id"].to_pylist())
    assert [source.role for source in chain_of(read_table("out.parquet"))[-1].inputs] == ["pool", "positives"]


def test_a_stream_is_drawn_from_too(here, lensctl):
    write_table(POOL, "pool.arrow")
    done = lensctl("sample", "-", "piped.csv", "--uniform", 20, stdin=(here / "pool.arrow").read_bytes())
    assert done.returncode == 0, done.stderr
    sample("pool.parquet", "out.csv", uniform=20)
    assert (here / "piped.csv").read_bytes() == (here / "out.csv").read_bytes()


@pytest.mark.skipif(not JAVA, reason="Spark needs Java, and there is none here")
def test_spark_draws_the_same_file_and_reads_a_condition_alike(here, lensctl):
    """Also at a value of float32 that the engines compare differently with 19.1."""
    pytest.importorskip("pyspark", reason="Spark is not installed (pip install 'lensctl[spark]')")
    edge = pa.array([19.1 if row % 2 else 18.0 for row in range(POOL.num_rows)], pa.float32())
    write_table(POOL.append_column("at_edge", edge), "edge.parquet")
    write_table(pa.table({"ra": POOL["ra"].slice(0, 9), "dec": POOL["dec"].slice(0, 9)}), "lenses.parquet")
    how = ("--uniform", 150, "--lenses", "lenses.parquet", "--where", "SPLIT <> 'val' and at_edge <= 19.1")
    said = []
    for engine in ("duckdb", "spark"):
        done = lensctl("sample", "edge.parquet", f"{engine}.parquet", *how, "--engine", engine)
        assert done.returncode == 0, done.stderr
        said.append({k: v for k, v in json.loads(done.stdout).items() if k not in ("output", "seconds")})
    assert said[0] == said[1]
    assert (here / "spark.parquet").read_bytes() == (here / "duckdb.parquet").read_bytes()
    assert set(read_table("spark.parquet")["at_edge"].to_pylist()) == {18.0}


@pytest.mark.skipif(not JAVA, reason="Spark needs Java, and there is none here")
@pytest.mark.parametrize("wrong", first(1, ("nobs_y > 3", "nobs_z >", "type > 3")))
def test_a_condition_that_spark_cannot_take_is_refused(here, lensctl, wrong):
    pytest.importorskip("pyspark", reason="Spark is not installed (pip install 'lensctl[spark]')")
    refused = lensctl("sample", "pool.parquet", "no.parquet", "--uniform", 9, "--where", wrong, "--engine", "spark")
    assert refused.returncode == 2, refused.stderr
    assert f"error: --where {wrong!r}: " in refused.stderr
    assert "Traceback" not in refused.stderr
