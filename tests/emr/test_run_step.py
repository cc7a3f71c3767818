"""The very step that EMR is asked for, done by a local `spark-submit`, and what `lensctl emr wait` then believes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.emr import wheel
from lensctl.io.tables.files import read_table, write_table
from tests.emr.test_emr import refused, told
from tests.toys import catalogs as toys
from tests.toys import coadds
from tests.toys import emr as emr_toy

JAVA = shutil.which("java") is not None or "JAVA_HOME" in os.environ
pytestmark = pytest.mark.skipif(not JAVA, reason="Spark needs Java, and there is none here")

SAMPLE = ("--positives", "s3://survey/positives.parquet", "--negatives-per-positive", "2")
POOL = ("pool", "s3://survey/sweep-*.fits", "s3://survey/made", "--lenses", "s3://survey/lenses.csv")


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """A region with a survey in its bucket."""
    for library in ("moto", "pyspark"):
        pytest.importorskip(library, reason=f"{library} is not installed (pip install 'lensctl[test]')")
    folder = tmp_path_factory.mktemp("survey")
    with emr_toy.region() as toy:
        write_table(toys.pool(2000), str(folder / "pool.parquet"))
        write_table(toys.positives(9), str(folder / "positives.parquet"))
        write_table(coadds.objects("1500p020", 12), str(folder / "objects.parquet"))
        write_table(pa.table({"ra": [5.0], "dec": [2.5], "name": ["a"]}), str(folder / "lenses.csv"))
        for n in range(2):
            toys.write_fits(toys.rows(600, n, ra=100.0 + 10 * n), folder / f"sweep-{n}.fits")
        coadds.make_brick(folder / "coadds", "1500p020")
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            toy.put(file.relative_to(folder).as_posix(), file.read_bytes())
        yield toy


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return wheel.checkout().wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def here(lensctl, aws):
    """Run `lensctl ...` on this machine, with the toy's S3."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return lambda *arguments: lensctl(*arguments, env={**clean, **aws.env})


@pytest.fixture
def submit(here, aws, built):
    def run(*command):
        given = ("--staging", emr_toy.STAGING, "--subnet", aws.subnet, "--wheel", built)
        return told(here("emr", "submit", *given, *command))

    return run


@pytest.fixture
def wait(here):
    return lambda said: here("emr", "wait", said["cluster"], said["step"], "--log-minutes", "0")


def read(aws, url, path):
    path.write_bytes(aws.get(url))
    return pq.read_table(path)


def test_a_sample_is_that_of_one_machine_and_proved_until_somebody_touches_it(submit, wait, here, aws, tmp_path):
    url = "s3://survey/drawn.parquet"
    (tmp_path / "s.yaml").write_text("seed: 7\n")
    said = submit("sample", "s3://survey/pool.parquet", url, *SAMPLE, "--config", tmp_path / "s.yaml")
    assert aws.do(said["cluster"], tmp_path) == 0
    proved = told(wait(said))
    assert (proved["rows"], proved["wheel"], proved["state"]) == ({url: 18}, said["wheel"], "COMPLETED")
    own = ("sample", "s3://survey/pool.parquet", "own.parquet", *SAMPLE, "--seed", "7")
    assert here(*own).returncode == 0
    assert read(aws, url, tmp_path / "there.parquet").equals(read_table(str(tmp_path / "own.parquet")))
    original = aws.get(url)

    held = aws.cluster(said["cluster"]).steps[0]
    words = list(held.args)
    held.args[:] = [word.replace(said["wheel"], "sha256:other") for word in words]
    refused(wait(said), f"the step ran {said['wheel']}, submitted was sha256:other")
    held.args[:] = [word.replace("sample", "sampled") if word == "sample" else word for word in words]
    refused(wait(said), "tells of another command")
    held.args[:] = words

    record = aws.get(said["record"])
    aws.client("s3").delete_object(Bucket=emr_toy.BUCKET, Key=said["record"].split("/", 3)[3])
    refused(wait(said), "the step left no record")
    aws.put(said["record"].split("/", 3)[3], record)
    assert told(wait(said))["rows"] == {url: 18}

    aws.put("drawn.parquet", original[:-100])
    refused(wait(said), f"{url}: cannot be read")
    assert here(*own[:2], url, *SAMPLE, "--overwrite").returncode == 0
    refused(wait(said), f"{url}: was made by a 'sample' step", "not by this one")
    assert here(*own[:2], url, *own[3:], "--overwrite").returncode == 0
    refused(wait(said), f"{url}: 1 of 1 objects were not made by the wheel that was submitted")
    aws.client("s3").delete_object(Bucket=emr_toy.BUCKET, Key="drawn.parquet")
    refused(wait(said), f"{url}: no such object")


@pytest.mark.soak
def test_a_pool_that_was_there_before_is_not_said_to_be_of_this_wheel(submit, wait, here, aws, tmp_path):
    assert here(*POOL, "--partition-by", "split").returncode == 0
    said = submit(*POOL, "--partition-by", "split")
    assert aws.do(said["cluster"], tmp_path) == 0, "there was nothing to do"
    refused(wait(said), "s3://survey/made: ", "objects were not made by the wheel that was submitted")
    for each in aws.client("s3").list_objects_v2(Bucket=emr_toy.BUCKET, Prefix="made/")["Contents"]:
        aws.client("s3").delete_object(Bucket=emr_toy.BUCKET, Key=each["Key"])
    again = submit(*POOL, "--partition-by", "split")
    assert aws.do(again["cluster"], tmp_path) == 0
    rows = told(wait(again))["rows"]["s3://survey/made"]
    assert rows > 100
    third = submit(*POOL, "--partition-by", "split")
    assert aws.do(third["cluster"], tmp_path) == 0
    assert told(wait(third))["rows"] == {"s3://survey/made": rows}, "a step of the same wheel made it"


def test_cutouts_are_made_there_and_proved_to_their_last_shard(submit, wait, aws, tmp_path):
    url = "s3://survey/cut.zarr"
    cut = ("cutout", "s3://survey/objects.parquet", url, "--root", "s3://survey/coadds", "--size", "21")
    said = submit(*cut, "--shard-rows", "4")
    assert aws.do(said["cluster"], tmp_path) == 0
    assert told(wait(said))["rows"] == {url: 12}
    keys = [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket="survey", Prefix="cut.zarr/")["Contents"]]
    shard = next(key for key in keys if "/images/c/" in key)
    aws.put(shard, aws.get(f"s3://survey/{shard}"))
    refused(wait(said), f"1 of {len(keys)} objects were not made", shard.removeprefix("cut.zarr"))


def test_a_step_whose_command_fails_ends_with_2_and_its_own_words(submit, wait, aws, tmp_path):
    aws.put("odd.parquet", b"not parquet")
    said = submit("sample", "s3://survey/odd.parquet", "s3://survey/never.parquet", *SAMPLE)
    assert aws.do(said["cluster"], tmp_path) == 2
    done = wait(said)
    refused(done, "is FAILED", f"emr/logs/{said['cluster']}/steps/{said['step']}")
    assert "error: s3://survey/odd.parquet: not a whole parquet file\n  fix: make it again" in done.stderr
    assert json.loads(aws.get(said["record"]))["status"] == 2


def test_a_step_that_takes_longer_than_it_may_is_ended(submit, wait, aws, tmp_path, here, built):
    given = ("--staging", emr_toy.STAGING, "--subnet", aws.subnet, "--wheel", built, "--max-hours", "0.01")
    said = told(here("emr", "submit", *given, "sample", "s3://survey/pool.parquet", "s3://survey/late", *SAMPLE))
    step = aws.cluster(said["cluster"]).steps[0]
    step.args[step.args.index("--hours") + 1] = "0.0003"
    assert aws.do(said["cluster"], tmp_path) == 2
    done = wait(said)
    refused(done, "is FAILED")
    assert "error: not done after 0.0003 h, and ended" in done.stderr


@pytest.fixture
def node(built, tmp_path):
    """Run `lensctl emr step` as it is installed on a node."""
    where = emr_toy.install(built.read_bytes(), built.name, tmp_path / "machine")

    def run(aws, digest):
        told = ("--wheel", digest, "--record", "s3://survey/r.json", "--hours", "1", "--writes", "s3://survey/x")
        return subprocess.run(
            [sys.executable, "-m", "lensctl", "emr", "step", *told, "sample", "--help"],
            env={**os.environ, **aws.env, "PYTHONPATH": str(where)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return where, run


def test_a_node_with_another_wheel_or_a_changed_one_does_nothing(node, aws, built):
    where, run = node
    refused(run(aws, "sha256:other"), f"this cluster has the wheel {wheel.digest(built)}, submitted was sha256:other")
    with (where / "lensctl" / "sample.py").open("a") as file:
        file.write("# a change\n")
    refused(run(aws, wheel.digest(built)), "lensctl/sample.py is not what the wheel holds")
    Path(where / "lensctl" / "sample.py").unlink()
    refused(run(aws, wheel.digest(built)), "lensctl/sample.py is not what the wheel holds")
