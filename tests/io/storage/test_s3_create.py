"""Of several that make one object, S3 lets one succeed, in one request or in parts."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from lensctl.io.storage import s3, s3_create
from lensctl.io.storage.atomic import whole_file
from lensctl.rules.errors import InputError

MIB = 1 << 20


def test_one_of_many_succeeds_and_the_object_is_its(bucket):
    url, contents = f"s3://{bucket}/o.parquet", [bytes([i]) for i in range(16)]
    with ThreadPoolExecutor(len(contents)) as threads:
        made = list(threads.map(lambda data: s3_create.create(url, data), contents))
    assert made.count(True) == 1
    assert s3.read_object(url) == contents[made.index(True)]


def test_in_parts_the_second_is_refused_at_its_end(bucket, tmp_path, monkeypatch):
    """One after the other: of several at the same moment the server of the tests lets more than one succeed."""
    monkeypatch.setattr(s3_create, "PART_BYTES", 5 * MIB)
    file, other = tmp_path / "one", tmp_path / "other"
    for each in (file, other):
        each.write_bytes(os.urandom(12 * MIB))
    url = f"s3://{bucket}/o.parquet"
    assert [s3_create.create(url, each) for each in (file, other)] == [True, False]
    assert s3.read_object(url) == file.read_bytes()
    assert "Uploads" not in s3.client().list_multipart_uploads(Bucket=bucket), "what did not succeed is aborted"


def test_an_existing_object_stays(bucket):
    assert s3_create.create(f"s3://{bucket}/a", b"1")
    assert not s3_create.create(f"s3://{bucket}/a", b"2")
    assert s3.read_object(f"s3://{bucket}/a") == b"1"


def test_of_two_runs_to_one_object_one_succeeds_unless_with_overwrite(bucket):
    url = f"s3://{bucket}/o.csv"
    with pytest.raises(InputError, match=r"o\.csv exists"), whole_file(url) as part:  # noqa: PT012
        part.write_bytes(b"first")
        with whole_file(url) as other:
            other.write_bytes(b"second")
    assert s3.read_object(url) == b"second"
    with whole_file(url, overwrite=True) as part:
        part.write_bytes(b"third")
    assert s3.read_object(url) == b"third"
