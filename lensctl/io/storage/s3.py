"""S3, as the standard AWS configuration says: one account, handed to each library in its own form."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.io.storage.retry import POLICY, RetryPolicy
from lensctl.rules.errors import InputError, LensctlError, ServiceError, first_line

if TYPE_CHECKING:
    import pyarrow.fs
    from obstore.store import S3Store


REQUEST_SECONDS = 60
"""After which an answer that says nothing more is given up."""


@dataclass(frozen=True)
class Account:
    """Where S3 is and who asks. The secrets never show in a repr."""

    region: str
    endpoint: str | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)
    session: Any = field(repr=False, compare=False)
    """Botocore's, which asks for passing credentials again when they run out."""


@functools.cache
def account() -> Account:
    """Region, endpoint and credentials from the environment, profile or instance role.

    Raises InputError where there is no region (it is never guessed) or no credentials.
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
        raise InputError("no AWS credentials are found", "set AWS_PROFILE, or run where there is an instance role")
    frozen = credentials.get_frozen_credentials()
    return Account(region, endpoint, str(frozen.access_key), str(frozen.secret_key), frozen.token, session)


def _session() -> Any:
    """What boto3 stands on: boto3 itself takes as long again to load."""
    import botocore.session

    return botocore.session.Session()


def _region(session: Any) -> str | None:
    """The region; botocore by itself knows AWS_DEFAULT_REGION alone, other tools AWS_REGION first."""
    return os.environ.get("AWS_REGION") or session.get_config_variable("region")


def _endpoint(session: Any) -> str | None:
    """Where S3 is, if not at AWS. Only a client knows all that a profile may say of it, and takes long to make."""
    told = [os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")]
    ignored = session.get_config_variable("ignore_configured_endpoint_urls")
    if ignored or not (any(told) or {"endpoint_url", "services"} & set(session.get_scoped_config())):
        return None
    endpoint = next(filter(None, told), None) or str(_client(session).meta.endpoint_url)
    return None if "amazonaws.com" in endpoint else endpoint


def _client(session: Any, **how: Any) -> Any:
    """A client of S3; making one takes some 0.1 s."""
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path", "payload_signing_enabled": True},
        request_checksum_calculation="when_required",  # the signature holds a digest of what is sent
        **how,
    )
    return session.create_client("s3", region_name=_region(session), config=config)


@dataclass(frozen=True)
class Setting:
    """What the AWS configuration says, as far as it says anything; no secrets."""

    region: str | None
    endpoint: str | None
    credentials_from: str | None


def setting() -> Setting:
    """Region, endpoint and where credentials come from; InputError where the configuration is broken."""
    import botocore.exceptions

    try:
        session = _session()
        found = session.get_credentials()
        region = _region(session)
        endpoint = _endpoint(session)
    except botocore.exceptions.BotoCoreError as error:
        raise InputError(f"AWS configuration: {error}", "see `aws configure list`") from error
    return Setting(region, endpoint, found.method if found else None)


def answers(bucket: str, seconds: float = 5.0) -> None:
    """Ask for a bucket once, without patience; raises what S3 says, or that it says nothing."""
    import botocore.exceptions

    account()
    hasty = {"connect_timeout": seconds, "read_timeout": seconds, "retries": RetryPolicy(tries=1).for_botocore()}
    try:
        _client(_session(), **hasty).list_objects_v2(Bucket=bucket, MaxKeys=1)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise unreachable(f"s3://{bucket}", error) from error


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
    client = {
        "allow_http": (who.endpoint or "").startswith("http://"),
        "timeout": "10min",
        "read_timeout": f"{REQUEST_SECONDS}s",
    }
    given: dict[str, Any] = {
        "region": who.region,
        "virtual_hosted_style_request": False,
        "client_options": client,
        "retry_config": POLICY.for_obstore(REQUEST_SECONDS),
    }
    if who.endpoint:
        given["endpoint"] = who.endpoint
    if who.token:  # passing credentials: asked for again when they run out
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider

        given["credential_provider"] = Boto3CredentialProvider(boto3.Session(botocore_session=_session()))
    else:
        given |= {"access_key_id": who.access_key, "secret_access_key": who.secret_key}
    return S3Store(bucket, **given)


def client() -> Any:
    """The account as a botocore client, for what obstore does not do; threads may share it."""
    return _shared_client(account())


@functools.lru_cache(maxsize=4)
def _shared_client(who: Account) -> Any:
    return _client(who.session, max_pool_connections=32, retries=POLICY.for_botocore())


def signed(bucket: str, query: Mapping[str, str], seconds: int = 3600) -> str:
    """A url that asks a bucket something, signed."""
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    who = account()
    root = who.endpoint or f"https://s3.{who.region}.amazonaws.com"
    request = AWSRequest("GET", f"{root.rstrip('/')}/{bucket}", params=dict(query))
    S3SigV4QueryAuth(who.session.get_credentials(), "s3", who.region, expires=seconds).add_auth(request)
    return str(request.url)


@contextmanager
def reaching(url: str, *, absent_passes: bool = False) -> Iterator[None]:
    """Turn what the S3 libraries raise into a sentence about `url`; where asked, let FileNotFoundError pass.

    Raises InputError where there is no such bucket or object, ServiceError for anything else.
    """
    import botocore.exceptions
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        if absent_passes and isinstance(error, FileNotFoundError):
            raise
        raise unreachable(url, error) from error


def exists(url: str) -> bool:
    """Whether an object of this name, or a folder with anything in it, is there."""
    import obstore

    bucket, key = split_url(url)
    store = object_store(bucket)
    with reaching(url):
        try:
            obstore.head(store, key.rstrip("/"))
            return True
        except FileNotFoundError:
            return any(page for page in obstore.list(store, prefix=key.rstrip("/") + "/", chunk_size=1))


def stamp(url: str) -> str:
    """What an object is without reading it: its size and ETag, another one when it is written again."""
    import obstore

    bucket, key = split_url(url)
    with reaching(url):
        facts = obstore.head(object_store(bucket), key)
        return f"{facts['size']} bytes, {facts['e_tag']}"


def size(url: str) -> int:
    """Bytes of an object; FileNotFoundError where there is none."""
    import obstore

    bucket, key = split_url(url)
    with reaching(url, absent_passes=True):
        return int(obstore.head(object_store(bucket), key)["size"])


def read_object(url: str) -> bytes:
    """A small object; FileNotFoundError where there is none."""
    import obstore

    bucket, key = split_url(url)
    with reaching(url, absent_passes=True):
        return bytes(obstore.get(object_store(bucket), key).bytes())


def write_object(url: str, data: bytes | Path) -> None:
    """Put a small object, or a local file, in one piece: readers see all of it or nothing."""
    import obstore

    bucket, key = split_url(url)
    with reaching(url):
        obstore.put(object_store(bucket), key, data)


def list_objects(url: str) -> list[str]:
    """Every object in a folder and below it."""
    import obstore

    bucket, key = split_url(url)
    with reaching(url):
        pages = obstore.list(object_store(bucket), key.rstrip("/") + "/")
        return sorted(f"s3://{bucket}/{entry['path']}" for page in pages for entry in page)


def delete(urls: Sequence[str]) -> None:
    """Remove objects of one bucket; those that are not there are no matter."""
    import obstore

    if not urls:
        return
    bucket, _ = split_url(urls[0])
    with suppress(FileNotFoundError), reaching(urls[0], absent_passes=True):
        obstore.delete(object_store(bucket), [split_url(url)[1] for url in urls])


def upload(file: Path, url: str) -> None:
    """Put a local file on S3."""
    write_object(url, file)


def download(url: str, file: Path) -> None:
    """Fetch an object to a local file."""
    import obstore

    bucket, key = split_url(url)
    with reaching(url), file.open("wb") as out:
        for chunk in obstore.get(object_store(bucket), key).stream():
            out.write(chunk)


_ANSWERS = (
    re.compile(r"<Code>(\w+)</Code>.*?<Message>(.*?)</Message>", re.DOTALL),
    re.compile(r"An error occurred \((\w+)\) when calling the \w+ operation(?: \(.*?\))?: (.*)"),
)


def unreachable(url: str, error: Exception) -> LensctlError:
    """What a failure of S3 is called for people: its code and message, with the place."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    text = str(error).strip()
    found = next((match for answer in _ANSWERS if (match := answer.search(text))), None)
    code, message = found.groups() if found else ("", "")
    if "NoSuchBucket" in (code or text):
        return InputError(f"{url}: there is no such bucket", "check its name, and the endpoint and region")
    if "NoSuchKey" in (code or text) or isinstance(error, FileNotFoundError):
        return InputError(f"{url}: no such object", "check the bucket and the key")
    reason = f"{code}: {message}" if code else first_line(error)
    if not code and isinstance(error, PermissionDeniedError | UnauthenticatedError):
        reason = "access is denied"
    return ServiceError(f"{url}: S3 says: {reason[:200]}", "check the bucket, the key and your AWS credentials")


def is_s3(path: str | Path) -> bool:
    """Whether a path names an object on S3."""
    return str(path).startswith(("s3://", "s3a://"))
