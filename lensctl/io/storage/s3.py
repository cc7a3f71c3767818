"""S3 access with the standard AWS configuration: one account, in the form each library needs."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.io.storage.retry import POLICY, RetryPolicy
from lensctl.rules.errors import InputError, LensctlError, ServiceError, first_line

if TYPE_CHECKING:
    import pyarrow.fs
    from obstore.store import S3Store


REQUEST_SECONDS = 60
"""Read timeout of a request."""


@dataclass(frozen=True)
class Account:
    """Region, endpoint and credentials. The secrets never show in a repr."""

    region: str
    endpoint: str | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)
    session: Any = field(repr=False, compare=False)
    """Botocore session, which renews temporary credentials."""


@functools.cache
def account() -> Account:
    """Region, endpoint and credentials from the environment, profile or instance role.

    Raises InputError if there is no region (it is never guessed) or no credentials.
    """
    import botocore.exceptions

    try:
        session = _session()
        region = _region(session)
        credentials = session.get_credentials()
        endpoint = _endpoint(session) if region else None
    except botocore.exceptions.BotoCoreError as error:
        raise InputError(f"AWS configuration: {error}", "see `aws configure list`") from error
    if not region:
        raise InputError("no AWS region is configured", "set AWS_REGION, or `region` in your AWS profile")
    if credentials is None:
        raise InputError("no AWS credentials found", "set AWS_PROFILE, or run on an instance with a role")
    frozen = credentials.get_frozen_credentials()
    return Account(region, endpoint, str(frozen.access_key), str(frozen.secret_key), frozen.token, session)


def _session() -> Any:
    """A botocore session: importing boto3 too would take twice as long."""
    import botocore.session

    return botocore.session.Session()


def _region(session: Any) -> str | None:
    """The region; botocore itself reads only AWS_DEFAULT_REGION, other tools prefer AWS_REGION."""
    return os.environ.get("AWS_REGION") or session.get_config_variable("region")


def _endpoint(session: Any) -> str | None:
    """Endpoint, if not AWS. Only a client, which is slow to create, resolves all endpoint settings of a profile."""
    configured = [os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")]
    ignored = session.get_config_variable("ignore_configured_endpoint_urls")
    if ignored or not (any(configured) or {"endpoint_url", "services"} & set(session.get_scoped_config())):
        return None
    endpoint = next(filter(None, configured), None) or str(_client(session).meta.endpoint_url)
    return None if "amazonaws.com" in endpoint else endpoint


def _client(session: Any, **options: Any) -> Any:
    """An S3 client; creating one takes about 0.1 s."""
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path", "payload_signing_enabled": True},
        request_checksum_calculation="when_required",  # the signature includes a digest of the body
        **options,
    )
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return session.create_client("s3", region_name=_region(session), config=config)


def _timestamp(text: str) -> datetime:
    """A time from S3. Botocore's own parser takes 90 us of the 106 us of an entry in a listing."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # a header, such as Mon, 01 Jan 2024 00:00:00 GMT
        from botocore.utils import parse_timestamp

        found: datetime = parse_timestamp(text)
        return found


@dataclass(frozen=True)
class Setting:
    """The AWS configuration as far as it is set, without secrets."""

    region: str | None
    endpoint: str | None
    credentials_from: str | None


def setting() -> Setting:
    """Region, endpoint and source of credentials; InputError if the configuration is invalid."""
    import botocore.exceptions

    try:
        session = _session()
        found = session.get_credentials()
        region = _region(session)
        endpoint = _endpoint(session)
    except botocore.exceptions.BotoCoreError as error:
        raise InputError(f"AWS configuration: {error}", "see `aws configure list`") from error
    return Setting(region, endpoint, found.method if found else None)


def set_region(region: str) -> None:
    """Use this region for the rest of the process."""
    os.environ["AWS_REGION"] = region


def answers(bucket: str, seconds: float = 5.0) -> None:
    """Query a bucket once, with a short timeout and no retries; raises the S3 error if it fails."""
    import botocore.exceptions

    account()
    no_retries = {"connect_timeout": seconds, "read_timeout": seconds, "retries": RetryPolicy(tries=1).for_botocore()}
    try:
        _client(_session(), **no_retries).list_objects_v2(Bucket=bucket, MaxKeys=1)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise unreachable(f"s3://{bucket}", error) from error


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key` or `s3a://bucket/key`; InputError for no bucket or `//` in the key."""
    bucket, _, key = url.split("://", 1)[1].partition("/")
    if not bucket:
        raise InputError(f"{url}: no bucket name", "write it as s3://bucket/key")
    if "//" in f"/{key}":
        raise InputError(f"{url}: two slashes in a row", "write one: does a variable in it end with a slash?")
    return bucket, key


def filesystem() -> pyarrow.fs.S3FileSystem:
    """The account as an Arrow file system."""
    import pyarrow.fs

    aws = account()
    return pyarrow.fs.S3FileSystem(
        access_key=aws.access_key,
        secret_key=aws.secret_key,
        session_token=aws.token,
        region=aws.region,
        endpoint_override=aws.endpoint,
    )


def object_store(bucket: str) -> S3Store:
    """A bucket as an obstore store, for bulk transfer."""
    from obstore.store import S3Store

    aws = account()
    client = {
        "allow_http": (aws.endpoint or "").startswith("http://"),
        "timeout": "10min",
        "read_timeout": f"{REQUEST_SECONDS}s",
    }
    options: dict[str, Any] = {
        "region": aws.region,
        "virtual_hosted_style_request": False,
        "client_options": client,
        "retry_config": POLICY.for_obstore(REQUEST_SECONDS),
    }
    if aws.endpoint:
        options["endpoint"] = aws.endpoint
    if aws.token:  # temporary credentials, to be renewed
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider

        options["credential_provider"] = Boto3CredentialProvider(boto3.Session(botocore_session=_session()))
    else:
        options |= {"access_key_id": aws.access_key, "secret_access_key": aws.secret_key}
    return S3Store(bucket, **options)


def client() -> Any:
    """A botocore client, for what obstore does not support; threads may share it."""
    return _shared_client(account())


@functools.lru_cache(maxsize=4)
def _shared_client(aws: Account) -> Any:
    return _client(aws.session, max_pool_connections=32, retries=POLICY.for_botocore())


@contextmanager
def s3_errors(url: str, *, allow_missing: bool = False) -> Iterator[None]:
    """Turn S3 library errors into a one-line message about `url`; `allow_missing` lets FileNotFoundError through.

    Raises InputError for a missing bucket or object, ServiceError for anything else.
    """
    import botocore.exceptions
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        if allow_missing and isinstance(error, FileNotFoundError):
            raise
        raise unreachable(url, error) from error


def exists(url: str) -> bool:
    """Whether an object of this name, or a non-empty folder, exists."""
    import obstore

    bucket, key = split_url(url)
    store = object_store(bucket)
    with s3_errors(url):
        try:
            obstore.head(store, key.rstrip("/"))
            return True
        except FileNotFoundError:
            return any(page for page in obstore.list(store, prefix=key.rstrip("/") + "/", chunk_size=1))


def stamp(url: str) -> str:
    """Size and ETag of an object, which change when it is rewritten."""
    import obstore

    bucket, key = split_url(url)
    with s3_errors(url):
        facts = obstore.head(object_store(bucket), key)
        return f"{facts['size']} bytes, {facts['e_tag']}"


def size(url: str) -> int:
    """Size of an object in bytes; FileNotFoundError if there is none."""
    import obstore

    bucket, key = split_url(url)
    with s3_errors(url, allow_missing=True):
        return int(obstore.head(object_store(bucket), key)["size"])


def read_object(url: str) -> bytes:
    """Content of a small object; FileNotFoundError if there is none."""
    import obstore

    bucket, key = split_url(url)
    with s3_errors(url, allow_missing=True):
        return bytes(obstore.get(object_store(bucket), key).bytes())


def write_object(url: str, data: bytes | Path) -> None:
    """Upload bytes or a local file atomically."""
    import obstore

    bucket, key = split_url(url)
    with s3_errors(url):
        obstore.put(object_store(bucket), key, data)


def list_objects(url: str) -> list[str]:
    """Every object under a folder, sorted."""
    import obstore

    bucket, key = split_url(url)
    with s3_errors(url):
        pages = obstore.list(object_store(bucket), key.rstrip("/") + "/")
        return sorted(f"s3://{bucket}/{entry['path']}" for page in pages for entry in page)


def delete(urls: Sequence[str]) -> None:
    """Remove objects of one bucket; missing ones are ignored."""
    import obstore

    if not urls:
        return
    bucket, _ = split_url(urls[0])
    with suppress(FileNotFoundError), s3_errors(urls[0], allow_missing=True):
        obstore.delete(object_store(bucket), [split_url(url)[1] for url in urls])


def upload(file: Path, url: str) -> None:
    """Upload a local file."""
    write_object(url, file)


def download(url: str, file: Path) -> None:
    """Download an object to a local file."""
    import obstore

    bucket, key = split_url(url)
    with s3_errors(url), file.open("wb") as out:
        for chunk in obstore.get(object_store(bucket), key).stream():
            out.write(chunk)


_ANSWERS = (
    re.compile(r"<Code>(\w+)</Code>.*?<Message>(.*?)</Message>", re.DOTALL),
    re.compile(r"An error occurred \((\w+)\) when calling the \w+ operation(?: \(.*?\))?: (.*)"),
)


def unreachable(url: str, error: Exception) -> LensctlError:
    """The error for a failed S3 request: its code and message, with the URL."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    text = str(error).strip()
    found = next((match for answer in _ANSWERS if (match := answer.search(text))), None)
    code, message = found.groups() if found else ("", "")
    if "NoSuchBucket" in (code or text):
        return InputError(f"{url}: no such bucket", "check its name, and the endpoint and region")
    if "NoSuchKey" in (code or text) or isinstance(error, FileNotFoundError):
        return InputError(f"{url}: no such object", "check the bucket and the key")
    reason = f"{code}: {message}" if code else first_line(error)
    if not code and isinstance(error, PermissionDeniedError | UnauthenticatedError):
        reason = "access is denied"
    return ServiceError(f"{url}: S3 says: {reason[:200]}", "check the bucket, the key and your AWS credentials")


def is_s3(path: str | Path) -> bool:
    """Whether a path is an S3 URL."""
    return str(path).startswith(("s3://", "s3a://"))
