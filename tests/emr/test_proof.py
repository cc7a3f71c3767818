"""What `lensctl emr wait` believes a local `spark-submit` made: outputs of this very wheel and command alone."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from lensctl.io.tables.files import read_table
from tests.toys import emr as emr_toy
from tests.toys.emr import refused, told

pytestmark = pytest.mark.skipif(not emr_toy.JAVA, reason="Spark needs Java, and there is none here")

SAMPLE = ("--positives", "s3://survey/positives.parquet", "--negatives-per-positive", "2")
POOL = ("pool", "s3://survey/sweep-*.fits", "s3://survey/made", "--lenses", "s3://survey/lenses.csv")


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
    refused(wait(said), f"the step ran wheel {said['wheel']}, but sha256:other was submitted")
    held.args[:] = [word.replace("sample", "sampled") if word == "sample" else word for word in words]
    refused(wait(said), "records another command")
    held.args[:] = words

    record = aws.get(said["record"])
    aws.client("s3").delete_object(Bucket=emr_toy.BUCKET, Key=said["record"].split("/", 3)[3])
    refused(wait(said), "the step left no record")
    aws.put(said["record"].split("/", 3)[3], record)
    assert told(wait(said))["rows"] == {url: 18}

    aws.put("drawn.parquet", original[:-100])
    refused(wait(said), f"{url}: cannot be read")
    assert here(*own[:2], url, *SAMPLE, "--overwrite").returncode == 0
    refused(wait(said), f"{url}: was made by a 'sample' step", "not by this step")
    assert here(*own[:2], url, *own[3:], "--overwrite").returncode == 0
    refused(wait(said), f"{url}: 1 of 1 objects were not made by the submitted wheel")
    aws.client("s3").delete_object(Bucket=emr_toy.BUCKET, Key="drawn.parquet")
    refused(wait(said), f"{url}: no such object")


@pytest.mark.soak
def test_a_pool_that_was_there_before_is_not_said_to_be_of_this_wheel(submit, wait, here, aws, tmp_path):
    assert here(*POOL, "--partition-by", "split").returncode == 0
    said = submit(*POOL, "--partition-by", "split")
    assert aws.do(said["cluster"], tmp_path) == 0, "there was nothing to do"
    refused(wait(said), "s3://survey/made: ", "objects were not made by the submitted wheel")
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
