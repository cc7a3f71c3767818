"""Tables on S3, against a real server: read, written and scanned by the same paths as on disk."""

from __future__ import annotations

import os

import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import Step, chain_of, stamp
from lensctl.io.storage import s3
from lensctl.io.tables.files import read_table, write_table
from lensctl.io.tables.sql import Database
from lensctl.rules.errors import InputError, LensctlError

ROWS = pa.table(
    {
        "galaxy_id": ["0001m002_1", "0001m002_2", "0003p000_7"],
        "ra": [10.0, 10.1, 10.3],
        "dec": [-0.2, -0.2, 0.0],
        "split": ["train", "val", "train"],
    }
)


@pytest.fixture
def forgotten(monkeypatch):
    """An environment that says nothing of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    s3.account.cache_clear()
    yield monkeypatch
    s3.account.cache_clear()


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "ndjson"])
def test_a_table_comes_back_as_it_was_written(bucket, scheme, ending):
    url = f"{scheme}://{bucket}/made/rows.{ending}"
    step = Step("sample", {"seed": 1})
    write_table(stamp(ROWS, (step,)), url)
    back = read_table(url)
    assert back.to_pylist() == ROWS.to_pylist()
    if ending in ("parquet", "arrow"):
        assert chain_of(back) == (step,)


def test_an_existing_object_is_refused_without_overwrite(bucket):
    url = f"s3://{bucket}/rows.parquet"
    write_table(ROWS, url)
    with pytest.raises(InputError, match="exists"):
        write_table(ROWS.slice(0, 1), url)
    assert read_table(url).num_rows == 3
    write_table(ROWS.slice(0, 1), url, overwrite=True)
    assert read_table(url).num_rows == 1


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_glob_and_a_hive_folder_are_read_in_the_order_of_their_names(bucket, scheme):
    for i, part in enumerate("ab"):
        write_table(ROWS.slice(i, 1).drop_columns("split"), f"s3://{bucket}/hive/split={part}/rows.parquet")
    write_table(ROWS.slice(2, 1), f"s3://{bucket}/hive/_hidden/rows.parquet")
    write_table(ROWS, f"s3://{bucket}/hive-not/rows.parquet")
    below = read_table(f"{scheme}://{bucket}/hive")
    assert below["galaxy_id"].to_pylist() == ["0001m002_1", "0001m002_2"]
    assert below["split"].to_pylist() == ["a", "b"]
    assert read_table(f"{scheme}://{bucket}/hive/*/rows.parquet").num_rows == 3
    assert read_table(f"{scheme}://{bucket}/hive/split=b/*.parquet")["galaxy_id"].to_pylist() == ["0001m002_2"]


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
@pytest.mark.parametrize("path", ["one/rows.parquet", "many"])
def test_duckdb_scans_what_lies_on_s3(bucket, scheme, path):
    write_table(ROWS, f"s3://{bucket}/one/rows.parquet")
    for split in ("train", "val"):
        rows = ROWS.filter(pa.compute.equal(ROWS["split"], split)).drop_columns("split")
        write_table(rows, f"s3://{bucket}/many/split={split}/rows.parquet")
    with Database() as database:
        scan = database.scan("t", f"{scheme}://{bucket}/{path}")
        counts = database.query("SELECT split, count(*) AS n FROM t GROUP BY 1 ORDER BY 1").to_pylist()
        by_glob = database.scan("g", f"{scheme}://{bucket}/many/*/rows.parquet")
    assert scan.rows == by_glob.rows == 3
    assert "split" not in by_glob.schema.names, "partitions are those below a folder that was given"
    assert counts == [{"split": "train", "n": 2}, {"split": "val", "n": 1}]


def test_a_scan_has_the_digest_of_the_same_files_on_disk(bucket, tmp_path):
    write_table(ROWS, f"s3://{bucket}/rows.parquet")
    write_table(ROWS, str(tmp_path / "rows.parquet"))
    with Database() as database:
        remote = database.scan("remote", f"s3://{bucket}/rows.parquet")
        local = database.scan("local", str(tmp_path / "rows.parquet"))
    assert remote.digest == local.digest


def test_two_scans_in_one_database_work(bucket):
    write_table(ROWS, f"s3://{bucket}/a.parquet")
    write_table(ROWS, f"s3://{bucket}/b.parquet")
    with Database() as database:
        database.scan("a", f"s3://{bucket}/a.parquet")
        database.scan("b", f"s3://{bucket}/b.parquet")
        assert database.query("SELECT count(*) AS n FROM a JOIN b USING (galaxy_id)")["n"].to_pylist() == [3]


def test_names_with_blanks_quotes_and_accents_are_names_like_any_other(bucket):
    url = f"s3://{bucket}/Søren's lenses 100% #1/rows + more.parquet"
    write_table(ROWS, url)
    assert read_table(url).num_rows == 3
    with Database() as database:
        assert database.scan("t", url).rows == 3
        assert database.query("SELECT count(*) AS n FROM t")["n"].to_pylist() == [3]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("s3://{bucket}/nothing.parquet", "no such object"),
        ("s3://{bucket}/none/*.parquet", "no such object"),
        ("s3://no-bucket-of-this-name/rows.parquet", "no such bucket"),
        ("s3://no-bucket-of-this-name", "no such bucket"),
        ("s3:///rows.parquet", "no bucket name"),
        ("s3://bucket/a//rows.parquet", "s3://bucket/a//rows.parquet: two slashes in a row"),
        ("s3://bucket//rows.parquet", "two slashes in a row"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(bucket, path, says):
    with pytest.raises(InputError, match=says):
        read_table(path.format(bucket=bucket))


def test_a_bucket_that_is_not_there_cannot_be_written_to(bucket):
    with pytest.raises(InputError, match="no such bucket"):
        write_table(ROWS, "s3://no-bucket-of-this-name/rows.parquet")


def test_a_truncated_parquet_on_s3_is_refused(bucket, tmp_path):
    write_table(ROWS, str(tmp_path / "rows.parquet"))
    whole = (tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-20])
    s3.upload(tmp_path / "cut.parquet", f"s3://{bucket}/cut.parquet")
    with pytest.raises(InputError, match="cut.parquet"):
        read_table(f"s3://{bucket}/cut.parquet")
    with Database() as database, pytest.raises(InputError, match="cut.parquet"):
        database.scan("t", f"s3://{bucket}/cut.parquet")


def test_wrong_credentials_are_said_to_be_so(bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3.account.cache_clear()
    with pytest.raises(LensctlError, match="S3 says: (SignatureDoesNotMatch|access is denied)"):
        read_table(f"s3://{bucket}/rows.parquet")


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_comes_from_either_name_and_is_never_guessed(forgotten, name):
    forgotten.setenv("AWS_ACCESS_KEY_ID", "a")
    forgotten.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(InputError, match="no AWS region") as caught:
        s3.account()
    assert "AWS_REGION" in caught.value.fix
    forgotten.setenv(name, "us-west-2")
    assert s3.account().region == "us-west-2"


def test_without_credentials_there_is_a_sentence(forgotten):
    forgotten.setenv("AWS_REGION", "us-west-2")
    with pytest.raises(InputError, match="no AWS credentials") as caught:
        s3.account()
    assert "AWS_PROFILE" in caught.value.fix


def test_a_profile_that_does_not_exist_is_a_sentence(forgotten):
    forgotten.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(InputError, match="nobody"):
        s3.account()


def test_secrets_do_not_show(bucket):
    assert "not-a-secret" not in repr(s3.account())


def test_passing_credentials_are_handed_on_and_refreshed_by_boto3(bucket, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "passing")
    s3.account.cache_clear()
    assert s3.object_store(bucket).credential_provider is not None


def test_a_command_without_a_region_exits_2_and_says_how_to_give_one(lensctl, forgotten, tmp_path):
    write_table(ROWS, str(tmp_path / "rows.parquet"))
    forgotten.setenv("AWS_ACCESS_KEY_ID", "a")
    forgotten.setenv("AWS_SECRET_ACCESS_KEY", "b")
    done = lensctl("sync", "rows.parquet", "s3://bucket/there")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no AWS region is configured" in done.stderr
    assert "AWS_REGION" in done.stderr
    assert "Traceback" not in done.stderr
