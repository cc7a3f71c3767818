"""Quality of a cutout: bad and empty pixels, brightness statistics, and whether it is usable."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.survey import LS_DR10

OK, PENDING = "ok", "pending"
STATUSES = (
    OK,
    PENDING,
    "missing_band",
    "nan_center",
    "half_empty",
    "outside_footprint",
    "wrong_shape",
    "wrong_bands",
    "wrong_position",
    "wrong_release",
    "bad_file",
    "missing_brick",
    "http_error",
    "timeout",
)
WITH_PIXELS = (OK, "missing_band", "nan_center", "half_empty")
"""Statuses of cutouts with pixels; with any other status the cutout is NaN."""
PERCENTILES = {"p01": 0.01, "p50": 0.50, "p99": 0.99}
STATISTICS = ("mean", "std", *PERCENTILES)
EMPTY = "zero_pixel_frac"
"""Per-band column: fraction of the inner pixels that are exactly 0, NaN or infinite."""
INNER_PX = 64
"""Side of the inner square of a cutout of the default survey's size."""

Images = NDArray[np.float32]
Columns = dict[str, NDArray[np.generic]]
_STRIDE = 16  # every 16th value is used to bracket a percentile
_BLOCK = 8  # cutouts per block, small enough for the processor cache


def central(size: int) -> slice:
    """The central fifth of a side: pixels 40 to 60 of 101."""
    width = max(size // 5, 1)
    start = (size - width) // 2
    return slice(start, start + width)


def inner(size: int) -> slice:
    """The inner square, which may not be empty: pixels 18 to 82 of 101, the whole where there are at most 64.

    Larger cutouts have the same fraction of a side.
    """
    width = max(min(size, INNER_PX), round(size * INNER_PX / LS_DR10.cutout_size_px))
    start = (size - width) // 2
    return slice(start, start + width)


def measure(images: Images, bands: Sequence[str], max_empty: float = MAX_EMPTY) -> Columns:
    """Quality columns of cutouts; each row depends only on its own pixels.

    Parameters
    ----------
    images : (N, H, W, B) float32
        Cutouts in nanomaggies, one plane per band.
    bands : B names
        Suffixes of the per-band columns; empty to leave these out.
    max_empty : float
        Greatest fraction of empty pixels in any band of the inner square.

    Returns
    -------
    columns : dict of (N,) arrays
        `status` (missing_band, nan_center or half_empty, the first that holds, else ok), `cutout_ok`, `has_nan`,
        `nan_pixel_count` (over all bands), `bad_pixel_frac` (fraction of values that are NaN or infinite), and for each
        band `mean`, `std`, `p01`, `p50`, `p99` of the finite values in nanomaggies, NaN if it has none, and
        `zero_pixel_frac`, see `empty_fraction`.
    """
    parts = [_measure(images[i : i + _BLOCK], bands, max_empty) for i in range(0, max(len(images), 1), _BLOCK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def empty_fraction(images: Images) -> NDArray[np.float64]:
    """Fraction of the inner pixels of each cutout and band that are exactly 0, NaN or infinite: (N, B)."""
    middle = images[:, inner(images.shape[1]), inner(images.shape[2]), :]
    return _missing_fraction(np.moveaxis(np.isfinite(middle) & (middle != 0), 3, 1))


def _missing_fraction(lit: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fraction of pixels that are not lit: (N, B, h, w) to (N, B)."""
    count, bands, height, width = lit.shape
    pixels = height * width
    counts = np.array([np.count_nonzero(row) for row in lit.reshape(count * bands, pixels)], float)  # faster than a sum
    return np.asarray((pixels - counts.reshape(count, bands)) / pixels)


def _measure(images: Images, bands: Sequence[str], max_empty: float) -> Columns:
    count, height, width, planes = images.shape
    values = images.reshape(count, height * width, planes).transpose(0, 2, 1).copy("C")  # (N, B, H*W)
    finite = np.isfinite(values)
    clean = bool(finite.all())
    n_finite = np.full((count, planes), height * width) if clean else finite.sum(axis=2)
    nan_count = np.zeros(count, np.int64) if clean else np.isnan(values).sum(axis=(1, 2))
    lit = values != 0 if clean else finite & (values != 0)
    present = lit.any(axis=2)

    empty = _missing_fraction(lit.reshape(count, planes, height, width)[:, :, inner(height), inner(width)])

    if not clean:
        values[~finite] = np.nan
    exact = values.astype(np.float64)
    if not clean:
        exact[~finite] = 0.0
    some = np.maximum(n_finite, 1)
    mean = exact.sum(axis=2) / some
    exact -= mean[:, :, None]
    if not clean:
        exact[~finite] = 0.0
    exact *= exact  # not a dot product, which would start threads
    deviation = np.sqrt(exact.sum(axis=2) / some)
    statistics = {"mean": mean, "std": deviation}
    if clean and count:
        found = _percentiles(values.reshape(count * planes, -1)).reshape(count, planes, -1)
        statistics |= {name: found[:, :, i] for i, name in enumerate(PERCENTILES)}
    else:
        values.sort(axis=2)  # NaN last
        statistics |= {name: _percentile(values, n_finite, share) for name, share in PERCENTILES.items()}

    middle = images[:, central(height), central(width), :]
    missing = np.logical_not(np.all(present, axis=1))
    hole = np.any(np.isnan(middle), axis=(1, 2, 3))
    half_empty = np.any(empty > max_empty, axis=1)
    status = _status(missing, hole, half_empty)
    columns: Columns = {
        "status": status,
        "cutout_ok": np.asarray(status == OK),
        "has_nan": nan_count > 0,
        "nan_pixel_count": nan_count.astype(np.int32),
        "bad_pixel_frac": (1.0 - n_finite.sum(axis=1) / (height * width * planes)).astype(np.float32),
    }
    for name in STATISTICS:
        known = np.where(n_finite > 0, statistics[name], np.nan).astype(np.float32)
        columns |= {f"{name}_{band}": known[:, b] for b, band in enumerate(bands)}
    return columns | {f"{EMPTY}_{band}": empty[:, b].astype(np.float32) for b, band in enumerate(bands)}


def _status(missing: NDArray[np.bool_], hole: NDArray[np.bool_], half_empty: NDArray[np.bool_]) -> NDArray[np.object_]:
    """The first that holds, or ok: (N,)."""
    return np.select([missing, hole, half_empty], ["missing_band", "nan_center", "half_empty"], OK).astype(object)


def status_within(images: Images, inner_px: slice, central_px: slice, max_empty: float) -> NDArray[np.object_]:
    """Status of cutouts of which only a part is known, as `measure` says it of the whole.

    Parameters
    ----------
    images : (N, h, w, B) float32
        The part.
    inner_px, central_px : slice
        Where in the part the inner square and the central fifth of the whole cutout lie, along either side.
    max_empty : float
        See `measure`.

    Returns
    -------
    (N,) object
        `missing_band` where a band is empty all over the part: outside it, a whole cutout may hold something.
    """
    lit = np.isfinite(images) & (images != 0)
    missing = np.logical_not(lit.any(axis=(1, 2)).all(axis=1))
    hole = np.any(np.isnan(images[:, central_px, central_px]), axis=(1, 2, 3))
    empty = _missing_fraction(np.moveaxis(lit[:, inner_px, inner_px], 3, 1))
    return _status(missing, hole, np.any(empty > max_empty, axis=1))


def _percentile(ordered: Images, n_finite: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """Percentile of the first `n_finite` of ascending values, linearly interpolated: (N, B, P) to (N, B)."""
    position = share * np.maximum(n_finite - 1, 0)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(n_finite - 1, 0))
    low, high = (np.take_along_axis(ordered, at[:, :, None], 2)[:, :, 0].astype(np.float64) for at in (below, above))
    return np.asarray(low + (high - low) * (position - below), dtype=np.float64)


def _percentiles(values: Images) -> NDArray[np.float64]:
    """The same percentiles as `_percentile` for finite values, without a full sort: (M, P) to (M, 3).

    A subset of the values brackets each percentile; only values within the bracket are sorted.
    """
    last = values.shape[1] - 1
    some = np.sort(values[:, ::_STRIDE], axis=1)
    length = some.shape[1]
    found = np.empty((len(values), len(PERCENTILES)))
    for i, share in enumerate(PERCENTILES.values()):
        below = int(share * last)
        above = min(below + 1, last)
        margin = int(3 * math.sqrt(length * share * (1 - share))) + 2
        first, end = int(share * length) - margin, int(share * length) + margin
        near = values >= some[:, first, None] if first > 0 else np.ones(values.shape, bool)
        skipped = [last + 1 - np.count_nonzero(row) for row in near]
        if end < length:
            near &= values <= some[:, end, None]
        chosen = values.reshape(-1)[np.flatnonzero(near)]  # faster than indexing by the mask
        stop = 0
        for row, before in enumerate(skipped):
            start, stop = stop, stop + int(np.count_nonzero(near[row]))
            if before <= below and above < before + stop - start:
                ordered = np.sort(chosen[start:stop])
            else:
                ordered, before = np.sort(values[row]), 0
            low, high = float(ordered[below - before]), float(ordered[above - before])
            found[row, i] = low + (high - low) * (share * last - below)
    return found


def fingerprints(images: Images) -> list[str]:
    """SHA-256 of each cutout's float32 little-endian bytes in C order, as hex: (N, H, W, B) to N strings."""
    return [hashlib.sha256(np.ascontiguousarray(image, "<f4").data).hexdigest() for image in images]
