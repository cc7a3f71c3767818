"""On-disk layout of a cutout store: names, columns, shards, codecs and attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lensctl.rules.errors import InputError
from lensctl.rules.quality import EMPTY, STATISTICS
from lensctl.rules.schema import arrow_type
from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    import pyarrow as pa

KIND, FORMAT = "cutouts", 1
ATTRIBUTE, INDEX, IMAGES, GROUP = "lensctl", "index.parquet", "images", "zarr.json"
ORIGIN_COLUMNS = (
    "release",
    "layer",
    "pixel_scale_arcsec",
    "url_or_brick",
    "offset_x_px",
    "offset_y_px",
    "http_status",
    "attempts",
    "seconds",
    "downloaded_at",
    "error",
)
"""What a source of cutouts says of where each comes from."""

QUALITY_COLUMNS = ("status", "cutout_ok", "has_nan", "nan_pixel_count", "bad_pixel_frac")
ALIGNED = {"ra": ("float64", math.nan), "dec": ("float64", math.nan), "cutout_ok": ("bool", False)}
"""Arrays with one number per row: data type and fill value."""

CODECS: dict[str, dict[str, Any]] = {
    "none": {},
    "lz4": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
    "zstd": {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
}
"""Settings of the blosc codec of each name."""

LARGEST_COUNT = 1 << 40
LARGEST_PX = 3000  # what the cutout service serves
DIMENSIONS = ("row", "y", "x", "band")


@dataclass(frozen=True)
class PixelArray:
    """A pixel array: its data type, whether it has one plane per band, and its fill value."""

    data_type: str
    per_band: bool
    fill: float | int


EXTRAS = {
    "invvar": PixelArray("float32", True, math.nan),
    "maskbits": PixelArray("int32", False, -1),
    "psfsize": PixelArray("float32", True, math.nan),
    "arcs": PixelArray("float32", True, math.nan),
}
"""Planes besides the image: 1/nanomaggy^2, bits (-1, all bits set: no plane), FWHM in arcsec, nanomaggies injected."""

OF_COADDS = ("invvar", "maskbits", "psfsize")
"""Those that coadds have."""

PIXELS = {IMAGES: PixelArray("float32", True, math.nan), **EXTRAS}
"""All arrays of pixels."""


@dataclass(frozen=True)
class Layout:
    """Layout of a store's pixels on disk.

    Parameters
    ----------
    rows, size : int
        Number of cutouts, and pixels along a side.
    bands : tuple of str
        Name of each plane, in the order of the last axis.
    shard_rows : int
        Cutouts per file; each is a chunk of its own.
    codec : str
        none, lz4 or zstd.
    planes : tuple of names
        Additional pixel arrays, from `EXTRAS`.

    Raises
    ------
    InputError
        An invalid setting.
    """

    rows: int
    size: int
    bands: tuple[str, ...] = LS_DR10.bands
    shard_rows: int = 1024
    codec: str = "none"
    planes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rows", "size", "shard_rows"):
            if not isinstance(number := getattr(self, name), int) or number > LARGEST_COUNT:
                raise InputError(
                    f"{name} is {str(number)[:40]}, not a whole number of cutouts or pixels", "give a number"
                )
        if not 1 <= self.size <= LARGEST_PX:
            raise InputError(f"cutouts of {self.size} px cannot be made", f"give a size from 1 to {LARGEST_PX}")
        if self.shard_rows < 1:
            raise InputError(f"shards of {self.shard_rows} rows cannot be made", "give 1 or more")
        if self.codec not in CODECS:
            raise InputError(f"no codec '{self.codec}'", f"use {', '.join(CODECS)}")
        for name in self.planes:
            if name not in EXTRAS:
                raise InputError(f"no plane '{name}'", f"use {', '.join(EXTRAS)}")

    @property
    def index_columns(self) -> tuple[str, ...]:
        """The declared columns of `index.parquet`."""
        return (*self.required_columns, *self.empty_columns)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The declared columns that every store has; earlier versions wrote no `empty_columns`."""
        per_band = (f"{name}_{band}" for name in STATISTICS for band in self.bands)
        return ("galaxy_id", "ra", "dec", *QUALITY_COLUMNS, *per_band, "source", *ORIGIN_COLUMNS, "cutout_sha256")

    @property
    def empty_columns(self) -> tuple[str, ...]:
        """Fraction of empty inner pixels in each band."""
        return tuple(f"{EMPTY}_{band}" for band in self.bands)

    @property
    def shards(self) -> int:
        """Number of shard files; the last may be short."""
        return -(-self.rows // self.shard_rows)

    def span(self, shard: int) -> tuple[int, int]:
        """First row of a shard, and one past its last."""
        return shard * self.shard_rows, min((shard + 1) * self.shard_rows, self.rows)

    def file(self, shard: int) -> str:
        """Path of a shard's file within the store."""
        return f"{IMAGES}/c/{shard}/0/0/0"

    def plane_file(self, name: str, shard: int) -> str:
        """Path of a shard's file of an additional pixel array."""
        return f"{name}/c/{shard}/0/0/0" if EXTRAS[name].per_band else f"{name}/c/{shard}/0/0"

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a pixel array: (N, S, S, B), or (N, S, S) if all bands share a plane."""
        return (self.rows, self.size, self.size, *([len(self.bands)] if PIXELS[name].per_band else []))

    def attributes(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of the group: the layout, and some more."""
        known = {name: value for name, value in asdict(self).items() if name != "planes" or value}
        return {ATTRIBUTE: {"kind": KIND, "format": FORMAT, **known, **more}}


def index_schema(layout: Layout, meta: tuple[pa.Field, ...] = ()) -> pa.Schema:
    """Schema of `index.parquet`: the declared columns, then any `meta_*` from .npz files."""
    import pyarrow as pa

    statistics = {f"{name}_{band}": pa.float32() for name in (*STATISTICS, EMPTY) for band in layout.bands}
    fields = [(name, statistics.get(name) or arrow_type(name)) for name in layout.index_columns]
    return pa.schema(fields + list(meta))


def index_rows(layout: Layout, columns: Mapping[str, Any], meta: pa.Table | None = None) -> pa.Table:
    """Build rows of the index.

    Parameters
    ----------
    layout : Layout
    columns : mapping of (N,) sequences
        Some of the declared columns; missing columns and NaNs become null.
    meta : pa.Table, optional
        The `meta_*` columns, N rows.
    """
    import numpy as np
    import pyarrow as pa

    count = len(columns["galaxy_id"])
    fields = index_schema(layout, tuple(meta.schema) if meta is not None else ())
    arrays = []
    for field in fields:
        if meta is not None and field.name in meta.column_names:
            arrays.append(meta[field.name])
        elif field.name in columns:
            values = columns[field.name]
            plain = values if isinstance(values, (np.ndarray, pa.Array, pa.ChunkedArray)) else list(values)
            array = pa.array(plain, from_pandas=True) if not isinstance(plain, pa.ChunkedArray) else plain
            arrays.append(array.cast(field.type))
        else:
            arrays.append(pa.nulls(count, field.type))
    return pa.table(arrays, schema=fields)
