"""Spark draws the same rows as one machine, to the byte, and says plainly what it cannot."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.io.provenance.steps import chain_of
from lensctl.io.storage import s3
from lensctl.io.tables.files import read_table, write_table
from lensctl.io.tables.spark import Cluster
from lensctl.rules.errors import InputError, LensctlError
from lensctl.sample.choosing import CHOSEN
from lensctl.sample.planning import NEEDED, plan
from tests.benchmarks import pool_speed, survey_pool
from tests.sample.test_planning import of_vectors
from tests.toys import catalogs as toys

JAVA = shutil.which("java") is not None or "JAVA_HOME" in os.environ
needs_java = pytest.mark.skipif(not JAVA, reason="Spark needs Java, and there is none here")

MANY = pytest.mark.parametrize("rows", [pytest.param(rows, marks=pytest.mark.soak) for rows in (200_000, 2_000_000)])
"""Fewer do not fill the quotas; every time, a uniform plan is drawn by both (tests/sample/test_uniform_plan.py)."""


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("pyspark", reason="Spark is not installed (pip install 'lensctl[spark]')")
    with Cluster() as cluster:
        yield cluster


def test_without_java_one_sentence_says_so(lensctl, tmp_path):
    write_table(toys.pool(50), str(tmp_path / "pool.parquet"))
    write_table(toys.positives(5), str(tmp_path / "positives.parquet"))
    bare = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": "/nonexistent"}
    command = "sample pool.parquet out.parquet --positives positives.parquet --engine"
    done = lensctl(*command.split(), "spark", env=bare)
    assert done.returncode == 2
    assert "Spark needs Java" in done.stderr
    assert not (tmp_path / "out.parquet").exists()


@needs_java
def test_the_rule_is_that_of_the_vectors(cluster, tmp_path):
    pool, positives, how, expected = of_vectors()
    write_table(pool, str(tmp_path / "pool.parquet"))
    found = cluster.scan("pool", str(tmp_path / "pool.parquet"), (*NEEDED, "nobs_z_bin", "type"))
    planned = plan(cluster, found.schema, positives, **how)
    cluster.keep(CHOSEN, planned.sql)
    output = str(tmp_path / "drawn.parquet")
    cluster.write_located(CHOSEN, output, (), rows=planned.rows, overwrite=False, format=None)
    drawn = read_table(output)
    assert dict(zip(drawn["galaxy_id"].to_pylist(), drawn["sampling_weight"].to_pylist(), strict=True)) == expected


@needs_java
@MANY
def test_many_rows_give_the_same_file_as_on_one_machine(lensctl, tmp_path, rows):
    survey_pool.make(tmp_path / "pool", rows)
    survey_pool.positives(tmp_path / "positives.parquet")
    some = pq.read_table(tmp_path / "pool" / "part-000.parquet", columns=["ra", "dec"]).slice(0, 400)
    write_table(some, str(tmp_path / "lenses.parquet"))
    each = rows // 100_000
    command = f"sample pool {{}} --positives positives.parquet --negatives-per-positive {each} --lenses lenses.parquet"
    said = {}
    for engine in ("duckdb", "spark"):
        done = lensctl(*command.format(f"{engine}.parquet").split(), "--engine", engine)
        assert done.returncode == 0, done.stderr
        said[engine] = json.loads(done.stdout)
    assert said["spark"]["near_lenses"] == said["duckdb"]["near_lenses"] >= 400
    assert said["spark"]["rows"] == said["duckdb"]["rows"] == each * survey_pool.POSITIVES
    assert (tmp_path / "spark.parquet").read_bytes() == (tmp_path / "duckdb.parquet").read_bytes()
    assert chain_of(read_table(str(tmp_path / "spark.parquet")))[-1].command == "sample"


@needs_java
def test_repeated_ids_and_positions_that_are_none_are_named_by_spark_too(cluster, tmp_path):
    pool = toys.pool(400)
    by = {"nobs_z_bin": (), "type": ()}
    doubled = pa.concat_tables([pool, pool.slice(7, 1)])
    write_table(doubled, str(tmp_path / "doubled.parquet"))
    found = cluster.scan("pool", str(tmp_path / "doubled.parquet"), (*NEEDED, *by))
    with pytest.raises(InputError, match=f"1 values of 'galaxy_id' .* row: {pool['galaxy_id'][7]}"):
        plan(cluster, found.schema, toys.positives(9), by=by, per_positive=1)
    ra = pa.array([float("nan") if i == 3 else v for i, v in enumerate(pool["ra"].to_pylist())])
    write_table(pool.set_column(pool.schema.get_field_index("ra"), "ra", ra), str(tmp_path / "nowhere.parquet"))
    found = cluster.scan("pool", str(tmp_path / "nowhere.parquet"), (*NEEDED, *by))
    lenses = pa.table({"ra": [10.0], "dec": [0.0]})
    with pytest.raises(InputError, match="1 rows have a position that is null, NaN or out of range"):
        plan(cluster, found.schema, toys.positives(9), by=by, per_positive=1, lenses=lenses)


@needs_java
def test_what_an_executor_cannot_do_is_said_in_one_sentence_and_leaves_nothing(cluster, tmp_path):
    pool = tmp_path / "pool.parquet"
    write_table(toys.pool(300), str(pool))
    by = {"nobs_z_bin": (), "type": ()}
    found = cluster.scan("pool", str(pool), (*NEEDED, *by))
    planned = plan(cluster, found.schema, toys.positives(9), by=by, per_positive=1)
    cluster.keep(CHOSEN, planned.sql)
    with pytest.raises(LensctlError, match=r"Spark: \d+ rows should have been drawn, but \d+ were"):
        cluster.write_located(
            CHOSEN, str(tmp_path / "out.parquet"), (), rows=planned.rows + 1, overwrite=False, format=None
        )
    with pytest.raises(InputError, match="never come to this machine"):
        cluster.write_located(CHOSEN, "-", (), rows=planned.rows, overwrite=False, format=None)
    assert [path.name for path in tmp_path.iterdir()] == ["pool.parquet"]


@needs_java
def test_a_signal_while_java_works_shows_no_traceback(cluster, caplog):
    """py4j logs one, and raises what the signal raised; one more when its connection is gone by then."""

    def stop(*_):
        client = cluster._session.sparkContext._gateway._gateway_client
        client.get_thread_connection().socket.shutdown(socket.SHUT_WR)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(KeyboardInterrupt):
            cluster._session.range(10**12).selectExpr("sum(id * id)").collect()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        cluster._session.sparkContext.cancelAllJobs()
    assert caplog.text == ""


@needs_java
def test_a_stream_is_not_for_spark(cluster):
    with pytest.raises(InputError, match="Spark reads parquet files"):
        cluster.scan("pool", "-", NEEDED)


@pytest.mark.soak  # every time, tests/emr/test_proof.py draws a sample there
@needs_java
def test_pool_and_sample_are_on_s3(lensctl, bucket, tmp_path):
    write_table(toys.pool(2000), f"s3://{bucket}/pool/part-0.parquet")
    write_table(toys.positives(9), f"s3a://{bucket}/positives.parquet")
    command = f"sample s3a://{bucket}/pool {{}} --positives s3://{bucket}/positives.parquet --negatives-per-positive 2"
    for engine, output in (("spark", f"s3://{bucket}/drawn.parquet"), ("duckdb", "here.parquet")):
        done = lensctl(*command.format(output).split(), "--engine", engine)
        assert done.returncode == 0, done.stderr
    assert read_table(f"s3://{bucket}/drawn.parquet").equals(read_table(str(tmp_path / "here.parquet")))


@needs_java
@MANY
def test_a_pool_of_many_catalogue_rows_is_that_of_one_machine(lensctl, tmp_path, rows):
    pool_speed.write_sweeps(tmp_path, files=4, rows=rows // 4)
    write_table(pa.table({"ra": [5.0, 15.0], "dec": [2.5, 2.5], "name": ["a", "b"]}), str(tmp_path / "lenses.csv"))
    said = {}
    for engine, output in (("local", "here.parquet"), ("spark", "there")):
        done = lensctl("pool", "sweep-*.fits", output, "--lenses", "lenses.csv", "--engine", engine)
        assert done.returncode == 0, done.stderr
        said[engine] = {**json.loads(done.stdout), "output": "", "seconds": 0}
    assert said["spark"] == said["local"]
    assert said["local"]["read"] == rows
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == [f"part-{n:05d}.parquet" for n in range(4)]
    here, there = (read_table(str(tmp_path / name)) for name in ("here.parquet", "there"))
    assert there.equals(here), "row for row"
    ids = [chain_of(table)[-1].id for table in (here, there)]
    assert ids[0] == ids[1], "one step, whoever ran it"
    again = lensctl("pool", "sweep-*.fits", "there", "--lenses", "lenses.csv", "--engine", "spark")
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True), again.stderr


@needs_java
def test_a_pool_in_partitions_goes_straight_to_s3_and_a_bad_file_is_named(lensctl, bucket, tmp_path):
    for n in range(3):
        toys.write_fits(toys.rows(900, n, ra=100.0 + 10 * n), tmp_path / f"sweep-{n}.fits")
    bad = tmp_path / "sweep-3.fits"
    bad.write_bytes((tmp_path / "sweep-0.fits").read_bytes()[:50_000])
    write_table(pa.table({"ra": [5.0], "dec": [2.5]}), str(tmp_path / "lenses.csv"))
    url = f"s3://{bucket}/pool"
    command = ["pool", "sweep-*.fits", "--lenses", "lenses.csv", "--partition-by", "split"]
    refused = lensctl(*command, url, "--engine", "spark")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "1 of 4 files are bad" in refused.stderr
    assert "sweep-3.fits" in refused.stderr
    assert lensctl("show", url).returncode == 2, "nobody reads it before it is whole"
    for output, engine in ((url, "spark"), ("here", "local")):
        done = lensctl(*command, output, "--engine", engine, "--skip-bad", "1")
        assert done.returncode == 0, done.stderr
    here, there = (read_table(path).sort_by("galaxy_id") for path in (str(tmp_path / "here"), url))
    assert there.equals(here)
    assert not [name for name in s3.list_objects(url) if "/_" in name]
