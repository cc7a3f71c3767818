"""Objects made only where there is none: of two processes that make one, S3 lets one succeed (If-None-Match)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lensctl.io.storage import s3

PART_BYTES = 64 << 20
"""Larger files are sent in parts of at least this size: S3 takes no more than 5 GB in one request."""
MOST_PARTS = 10_000
PARTS_AT_ONCE = 4


def create(url: str, data: bytes | Path) -> bool:
    """Upload bytes or a local file; returns False, and changes nothing, if the object exists."""
    import obstore
    from obstore.exceptions import AlreadyExistsError

    bucket, key = s3.split_url(url)
    with s3.s3_errors(url):
        if isinstance(data, Path) and data.stat().st_size > PART_BYTES:
            return _create_in_parts({"Bucket": bucket, "Key": key}, data)
        try:
            obstore.put(s3.object_store(bucket), key, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True


def _create_in_parts(target: dict[str, str], file: Path) -> bool:
    """Multipart upload whose end fails if the object exists; aborted on any failure."""
    import botocore.exceptions

    client, size = s3.client(), file.stat().st_size
    length = max(PART_BYTES, -(-size // MOST_PARTS))
    upload = client.create_multipart_upload(**target)["UploadId"]

    def send(number: int) -> dict[str, Any]:
        with file.open("rb") as content:
            content.seek((number - 1) * length)
            body = content.read(length)
        response = client.upload_part(**target, UploadId=upload, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": response["ETag"]}

    try:
        with ThreadPoolExecutor(PARTS_AT_ONCE) as threads:
            parts = {"Parts": list(threads.map(send, range(1, -(-size // length) + 1)))}
        client.complete_multipart_upload(**target, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")
    except BaseException as error:
        client.abort_multipart_upload(**target, UploadId=upload)
        if isinstance(error, botocore.exceptions.ClientError) and _is_taken(error):
            return False
        raise
    return True


def _is_taken(error: Any) -> bool:
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 412)
