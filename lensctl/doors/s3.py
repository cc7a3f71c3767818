"""S3, as the standard AWS configuration says: one account, handed to each library in its own form."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.words.errors import InputError, ServiceError

if TYPE_CHECKING:
    import pyarrow.fs
    from obstore.store import S3Store


@dataclass(frozen=True)
class Account:
    """Where S3 is and who asks. The secrets never show in a repr."""

    region: str
    endpoint: str | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


@functools.cache
def account() -> Account:
    """Region, endpoint and credentials from the environment, profile or instance role.

    Raises InputError where there is no region (it is never guessed) or no credentials.
    """
    import boto3
    import botocore.exceptions

    try:
        session = boto3.Session()
        region = session.region_name
        credentials = session.get_credentials()
    except botocore.exceptions.BotoCoreError as error:
        raise InputError(f"AWS configuration: {error}", "see `aws configure list`") from error
    if not region:
        raise InputError("no AWS region is configured", "set AWS_REGION, or `region` in your AWS profile")
    if credentials is None:
        raise InputError("no AWS credentials are found", "set AWS_PROFILE, or run where there is an instance role")
    frozen = credentials.get_frozen_credentials()
    endpoint = session.client("s3").meta.endpoint_url if _custom_endpoint(session) else None
    return Account(region, endpoint, str(frozen.access_key), str(frozen.secret_key), frozen.token)


def _custom_endpoint(session: Any) -> bool:
    """Whether AWS_ENDPOINT_URL or the profile points somewhere else than AWS."""
    return "amazonaws.com" not in session.client("s3").meta.endpoint_url


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key` or `s3a://bucket/key`."""
    bucket, _, key = url.split("://", 1)[1].partition("/")
    if not bucket:
        raise InputError(f"{url}: names no bucket", "write it as s3://bucket/key")
    return bucket, key


def filesystem() -> pyarrow.fs.S3FileSystem:
    """The account as an Arrow file system."""
    import pyarrow.fs

    who = account()
    return pyarrow.fs.S3FileSystem(
        access_key=who.access_key,
        secret_key=who.secret_key,
        session_token=who.token,
        region=who.region,
        endpoint_override=who.endpoint,
    )


def object_store(bucket: str) -> S3Store:
    """One bucket of the account as an obstore store, for bulk transfer."""
    from obstore.store import S3Store

    who = account()
    return S3Store(
        bucket,
        region=who.region,
        endpoint=who.endpoint,
        access_key_id=who.access_key,
        secret_access_key=who.secret_key,
        session_token=who.token,
        virtual_hosted_style_request=False,
        client_options={"allow_http": bool(who.endpoint and who.endpoint.startswith("http://"))},
    )


def exists(url: str) -> bool:
    """Whether an object of this name, or a folder with anything in it, is there."""
    import obstore
    from obstore.exceptions import BaseError

    bucket, key = split_url(url)
    store = object_store(bucket)
    try:
        try:
            obstore.head(store, key.rstrip("/"))
            return True
        except FileNotFoundError:
            return any(page for page in obstore.list(store, prefix=key.rstrip("/") + "/", chunk_size=1))
    except (BaseError, OSError) as error:
        raise unreachable(url, error) from error


def upload(file: Path, url: str) -> None:
    """Put a local file on S3 in one piece: readers see all of it or nothing."""
    import obstore
    from obstore.exceptions import BaseError

    bucket, key = split_url(url)
    try:
        obstore.put(object_store(bucket), key, file)
    except (BaseError, OSError) as error:
        raise unreachable(url, error) from error


def unreachable(url: str, error: Exception) -> ServiceError:
    """What a failure of S3 is called for people: its first line, with the place."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ServiceError(f"{url}: S3 says: {reason[:200]}", "check the bucket, the key and your AWS credentials")


def download(url: str, file: Path) -> None:
    """Fetch an object to a local file."""
    import obstore
    from obstore.exceptions import BaseError

    bucket, key = split_url(url)
    try:
        with file.open("wb") as out:
            for chunk in obstore.get(object_store(bucket), key).stream():
                out.write(chunk)
    except FileNotFoundError as error:
        raise InputError(f"{url}: no such object", "check the bucket and the key") from error
    except (BaseError, OSError) as error:
        raise unreachable(url, error) from error
