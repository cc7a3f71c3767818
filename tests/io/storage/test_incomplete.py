"""The mark of a folder that is incomplete: nobody reads it, and only the same writer goes on."""

from __future__ import annotations

import pytest

from lensctl.io.storage import incomplete, s3
from lensctl.io.storage.incomplete import being_written, upload_folder
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys


def test_a_folder_on_s3_that_was_begun_is_taken_up_by_the_same_writer_alone(tmp_path, bucket):
    url = f"s3://{bucket}/made"
    (tmp_path / "a=1").mkdir()
    write_table(toys.pool(20), str(tmp_path / "a=1" / "part.parquet"))
    with pytest.raises(FileNotFoundError), being_written(url, "me"):
        s3.read_object(f"{url}/nothing")
    s3.upload(tmp_path / "a=1" / "part.parquet", f"{url}/a=0/part.parquet")
    with pytest.raises(InputError, match="is incomplete"):
        read_table(url)
    with pytest.raises(InputError, match="exists"):
        upload_folder(tmp_path, url, "another")
    upload_folder(tmp_path, url, "me")
    assert [name.rpartition("made/")[2] for name in s3.list_objects(url)] == ["a=1/part.parquet"]
    with pytest.raises(InputError, match="exists"):
        upload_folder(tmp_path, url, "me")
    with pytest.raises(InputError, match="is a bucket"):
        upload_folder(tmp_path, f"s3://{bucket}/", "me", overwrite=True)


def test_of_two_writers_who_begin_at_once_one_is_refused_by_name(bucket, monkeypatch):
    """Both have seen that nothing is there."""
    url = f"s3://{bucket}/made"
    with being_written(url, "0123456789abcdef"):
        monkeypatch.setattr(incomplete, "refuse_existing_folder", lambda *_: None)
        with pytest.raises(InputError, match=r"is being made by another run \(step 0123456789ab\)"):
            incomplete.mark(url, b"another")
        incomplete.mark(url, b"0123456789abcdef")
        s3.write_object(f"{url}/part.parquet", b"")
    assert incomplete.writer_of(url) is None
    with pytest.raises(InputError, match="made exists"):
        incomplete.mark(url, b"another")
    assert s3.list_objects(url) == [f"{url}/part.parquet"], "what was finished meanwhile is not marked"


def test_a_folder_taken_over_by_another_with_overwrite_is_not_finished_by_the_first(bucket):
    url = f"s3://{bucket}/made"
    with pytest.raises(InputError, match=r"another run \(lensctl cutout\)"), being_written(url, "me"):
        incomplete.mark(url, b'{"command": "cutout"}', over=True)
    assert incomplete.writer_of(url) == b'{"command": "cutout"}'
