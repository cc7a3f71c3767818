"""Zarr groups and arrays made by zarr; their pixels read and written by TensorStore, on local disk and S3."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lensctl.io.cutouts.layout import ALIGNED, CODECS, DIMENSIONS, GROUP, PIXELS, Layout
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.errors import InputError, ServiceError
from lensctl.rules.object_names import refuse_undecoded

FILE_READS = 8  # concurrent; more would only wait for the same disks


def make_pixels(folder: Path, layout: Layout, name: str) -> None:
    """Make `images`, or an additional array of pixels, empty, unless it is there; several processes may do so at once.

    Each cutout is a chunk of its own, and a file holds a shard of them.
    """
    if (folder / name / GROUP).exists():
        return
    import zarr  # here, because it takes 0.2 s
    from zarr.codecs import BloscCodec
    from zarr.errors import ContainsArrayError

    shape, blosc = layout.shape(name), CODECS[layout.codec]
    with suppress(ContainsArrayError):  # made by another process since
        zarr.create_array(
            folder / name,
            shape=shape,
            dtype=PIXELS[name].data_type,
            chunks=(1, *shape[1:]),
            shards=(layout.shard_rows, *shape[1:]),
            compressors=BloscCodec(**blosc) if blosc else None,
            fill_value=PIXELS[name].fill,
            dimension_names=DIMENSIONS[: len(shape)],
            zarr_format=3,
        )


def make_aligned(folder: Path, name: str, values: NDArray[Any]) -> None:
    """Make an array with one number per row, in one chunk; replaces one that is there."""
    import zarr

    data_type, fill = ALIGNED[name]
    zarr.create_array(
        folder / name,
        data=values.astype(data_type),
        chunks=values.shape,
        compressors=None,
        fill_value=fill,
        dimension_names=DIMENSIONS[:1],
        zarr_format=3,
        overwrite=True,
        config={"write_empty_chunks": True},
    )


def make_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Make a group of the arrays in a folder, with consolidated metadata, so that one read opens all of them."""
    import zarr

    (folder / GROUP).unlink(missing_ok=True)  # left by an interrupted run
    zarr.create_group(folder, attributes=dict(attributes), zarr_format=3)
    with warnings.catch_warnings():  # that the index is no array, and Zarr v3 has no word on consolidated metadata
        warnings.simplefilter("ignore", UserWarning)
        zarr.consolidate_metadata(folder, zarr_format=3)


def open_array(path: str, *, read: bool = False) -> Any:
    """Open one Zarr array as a TensorStore.

    Parameters
    ----------
    path : str
        Local path or `s3://`.
    read : bool
        Read-only; pixels that are missing are an error, where Zarr has the fill value, which is NaN.

    Raises
    ------
    InputError
        No complete array there, or below a folder whose name is not UTF-8.
    """
    import tensorstore

    context = tensorstore.Context({"file_io_concurrency": {"limit": FILE_READS}})
    spec = {"driver": "zarr3", "kvstore": _kvstore(path), "store_data_equal_to_fill_value": True}
    spec |= {"fill_missing_data_reads": not read}
    with tensorstore_errors(path):
        return tensorstore.open(spec, open=True, read=True, write=not read, context=context).result()


def _kvstore(path: str) -> dict[str, Any]:
    if not is_s3(path):
        real = os.path.realpath(path)  # the driver rejects paths with ..
        refuse_undecoded(real)
        return {"driver": "file", "path": real}
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
        if text.startswith("NOT_FOUND"):
            file = re.search(rf'"[^"]*{re.escape(os.path.basename(self.path))}(/[^"]+)" is missing', text)
            where = self.path + (file[1] if file else "")
            raise InputError(f"{where} is missing, or pixels in it", "copy or make the store again") from error
        if is_s3(self.path):
            raise ServiceError(f"{self.path}: S3 says: {reason}", "rerun the command") from error
        raise InputError(f"{self.path}: damaged ({reason})", "copy or make the store again") from error
