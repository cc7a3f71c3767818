"""`lensctl sample` from the survey's 18.6 million rows beside plain windows, and from S3 beside the local disk."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from tests.benchmarks import survey_pool
from tests.benchmarks.processes import Ran, counted, timed
from tests.toys import seaweed

ROWS, SPARK_ROWS = 18_597_747, 5_000_000
LEAST_OF_DUCKDB, LEAST_OF_SPARK, MOST_MB, MOST_OF_LOCAL = 4.0, 15.0, 1000.0, 3.0
MOST_OF_STRATIFIED = 1.5


def _sample(pool: object, positives: Path, output: Path, env: dict[str, str] | None = None) -> Ran:
    command = [sys.executable, "-m", "lensctl", "sample", str(pool), str(output), "--positives", str(positives)]
    return timed([*command, "--overwrite"], env)


def _peer(name: str, pool: Path, positives: Path, output: Path) -> Ran:
    return timed([sys.executable, "-m", "tests.benchmarks.sample_peers", name, str(pool), str(positives), str(output)])


def _ids(path: Path) -> list[str]:
    return sorted(pq.read_table(path, columns=["galaxy_id"])["galaxy_id"].to_pylist())


def figures() -> Iterator[dict[str, object]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        positives = survey_pool.positives(folder / "positives.parquet")
        pool = survey_pool.make(folder / "pool", ROWS)
        here = _sample(pool, positives, folder / "ours.parquet")
        yield _beside("duckdb", LEAST_OF_DUCKDB, pool, positives, folder, here)
        yield _uniform(pool, folder, here)
        yield from _from_s3(pool, positives, folder)
        few = survey_pool.make(folder / "few", SPARK_ROWS)
        here = _sample(few, positives, folder / "ours.parquet")
        yield _beside("spark", LEAST_OF_SPARK, few, positives, folder, here)


def _uniform(pool: Path, folder: Path, stratified: Ran) -> dict[str, object]:
    """As many rows as the stratified draw has, each as likely."""
    command = [sys.executable, "-m", "lensctl", "sample", str(pool), str(folder / "uniform.parquet"), "--overwrite"]
    count = pq.read_metadata(folder / "ours.parquet").num_rows
    ran = timed([*command, "--uniform", str(count)])
    return {
        "beside": "the stratified draw, --uniform",
        "rows": count,
        "seconds": round(ran.seconds, 2),
        "stratified_seconds": round(stratified.seconds, 2),
        "limit": MOST_OF_STRATIFIED,
        "peak_mb": round(ran.peak_mb),
        "peak_limit_mb": MOST_MB,
        "holds": ran.seconds <= MOST_OF_STRATIFIED * stratified.seconds and ran.peak_mb <= MOST_MB,
    }


def _beside(peer: str, least: float, pool: Path, positives: Path, folder: Path, ours: Ran) -> dict[str, object]:
    theirs = _peer(peer, pool, positives, folder / f"{peer}.parquet")
    again = _sample(pool, positives, folder / "ours.parquet")
    seconds = min(ours.seconds, again.seconds)
    peak = max(ours.peak_mb, again.peak_mb)
    same = _ids(folder / "ours.parquet") == _ids(folder / f"{peer}.parquet")
    ratio = theirs.seconds / seconds
    return {
        "beside": f"{peer} window",
        "seconds": round(seconds, 2),
        "peer_seconds": round(theirs.seconds, 2),
        "times_faster": round(ratio, 2),
        "limit": least,
        "peak_mb": round(peak),
        "peak_limit_mb": MOST_MB,
        "same_rows": same,
        "holds": same and ratio >= least and peak <= MOST_MB,
    }


def _from_s3(pool: Path, positives: Path, folder: Path) -> Iterator[dict[str, object]]:
    """The same from a real S3 server on the same cores: time, and what the server sent."""
    files = sorted(pool.glob("*.parquet"))
    with contextlib.ExitStack() as held:
        served = Path(held.enter_context(tempfile.TemporaryDirectory()))
        server = held.enter_context(seaweed.server(served, volume_mb=1024))
        copy = [sys.executable, "-m", "lensctl", "sync", str(pool), "s3://bench/pool", "--exclude", "_made"]
        make_bucket = "from lensctl.io.storage import s3; s3.client().create_bucket(Bucket='bench')"
        timed([sys.executable, "-c", make_bucket], server.env)
        timed(copy, server.env)
        there = _sample("s3://bench/pool", positives, folder / "from-s3.parquet", server.env)
        host, port = server.endpoint.removeprefix("http://").split(":")
        with counted(host, int(port)) as (between, answered):  # in a run of its own: counting takes time too
            env = {**server.env, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{between}"}
            _sample("s3://bench/pool", positives, folder / "from-s3.parquet", env)
    here = _sample(pool, positives, folder / "ours.parquet")
    same = _ids(folder / "ours.parquet") == _ids(folder / "from-s3.parquet")
    yield {
        "beside": "the local disk, from S3",
        "seconds": round(there.seconds, 2),
        "local_seconds": round(here.seconds, 2),
        "ratio": round(there.seconds / here.seconds, 2),
        "limit": MOST_OF_LOCAL,
        "read_mb": round(answered[0] / 1e6),
        "pool_mb": round(sum(file.stat().st_size for file in files) / 1e6),
        "peak_mb": round(there.peak_mb),
        "same_rows": same,
        "peak_limit_mb": MOST_MB,
        "holds": same and there.seconds <= MOST_OF_LOCAL * here.seconds and there.peak_mb <= MOST_MB,
    }
