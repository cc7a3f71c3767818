"""Zarr arrays through TensorStore, on local disk and S3."""

from __future__ import annotations

import os
from typing import Any

from lensctl.io.storage.s3 import is_s3
from lensctl.rules.errors import InputError, ServiceError

FILE_READS = 8  # concurrent; more would only wait for the same disks


def open_array(path: str, *, read: bool = False) -> Any:
    """Open one Zarr array as a TensorStore.

    Parameters
    ----------
    path : str
        Local path or `s3://`.
    read : bool
        Read-only.

    Raises
    ------
    InputError
        No complete array there.
    """
    import tensorstore

    context = tensorstore.Context({"file_io_concurrency": {"limit": FILE_READS}})
    spec = {"driver": "zarr3", "kvstore": _kvstore(path), "store_data_equal_to_fill_value": True}
    with tensorstore_errors(path):
        return tensorstore.open(spec, open=True, read=True, write=not read, context=context).result()


def _kvstore(path: str) -> dict[str, Any]:
    if not is_s3(path):
        return {"driver": "file", "path": os.path.realpath(path)}  # the driver rejects paths with ..
    from lensctl.io.storage import s3

    bucket, key = s3.split_url(path)
    account = s3.account()
    spec = {"driver": "s3", "bucket": bucket, "path": f"{key}/", "aws_region": account.region}
    return {**spec, "endpoint": account.endpoint} if account.endpoint else spec


class tensorstore_errors:
    """Turns TensorStore's long ValueErrors into a one-line message, or the underlying OSError."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, ValueError):
            return
        text = str(error)
        if "os_error_code='" in text:
            code = int(text.split("os_error_code='", 1)[1].split("'", 1)[0], 0)
            raise OSError(code, os.strerror(code), self.path) from error
        reason = text.split(" [", 1)[0].splitlines()[0][:200]
        if is_s3(self.path):
            raise ServiceError(f"{self.path}: S3 says: {reason}", "rerun the command") from error
        raise InputError(f"{self.path}: damaged ({reason})", "copy or make the store again") from error
