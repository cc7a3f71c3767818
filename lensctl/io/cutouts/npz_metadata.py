"""Conversion between the `meta_*` of an .npz and the index columns of a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray

from lensctl.io.cutouts.npz import text_in
from lensctl.rules.survey import Survey

Array = NDArray[Any]

KEYS = {
    "source": ("meta_source",),
    "release": ("meta_release",),
    "layer": ("meta_layer",),
    "pixel_scale_arcsec": ("meta_pixel_scale_arcsec", "meta_pixel_scale"),
    "url_or_brick": ("meta_url_or_brick", "meta_cutout_url"),
    "offset_x_px": ("meta_offset_x_px",),
    "offset_y_px": ("meta_offset_y_px",),
    "http_status": ("meta_http_status",),
    "attempts": ("meta_attempts",),
    "downloaded_at": ("meta_download_timestamp", "meta_timestamp"),
    "status": ("meta_status",),
    "error": ("meta_error",),
}
"""Index columns, and the keys that may hold them; the first present counts."""
WRITTEN = {
    "cutout_ok": "meta_cutout_ok",
    **{name: keys[0] for name, keys in KEYS.items() if name not in ("url_or_brick", "downloaded_at", "attempts")},
}
TEXT = ("source", "release", "layer", "url_or_brick", "downloaded_at", "status", "error")
WHOLE = ("http_status", "attempts")


def carried(survey: Survey) -> tuple[str, ...]:
    """Columns of an object table that are kept with its cutouts, as `meta_type`, `meta_nobs_z` and so on."""
    psfsize = (f"psfsize_{band}" for band in survey.bands)
    return ("type", survey.depth("nobs"), *psfsize, survey.detection_flux)


def index_values(meta: Mapping[str, Array]) -> dict[str, Any]:
    """Index columns of one file, from its keys; None if absent.

    A missing layer, pixel scale or source is taken from the URL it was fetched from.
    """
    values: dict[str, Any] = {
        "galaxy_id": str(meta["meta_galaxy_id"].item()),
        "ra": float(meta["meta_ra"]),
        "dec": float(meta["meta_dec"]),
    }
    for name, keys in KEYS.items():
        value = next((_plain(meta[key], name) for key in keys if key in meta), None)
        values[name] = value
    url = values["url_or_brick"] or ""
    query = parse_qs(urlsplit(url).query) if url.startswith(("http://", "https://")) else {}
    values["source"] = values["source"] or ("viewer" if "ra" in query and "dec" in query else "npz")
    values["layer"] = values["layer"] or query.get("layer", [None])[0]
    if values["pixel_scale_arcsec"] is None:
        values["pixel_scale_arcsec"] = _number(query.get("pixscale", [None])[0])
    return values


def members(row: Mapping[str, Any], carried: Mapping[str, Array]) -> dict[str, Array]:
    """The `meta_*` for one row of the index of a store that was not packed from files.

    Parameters
    ----------
    row : mapping
        The row's columns.
    carried : mapping of `meta_*` to arrays
        Its stored `meta_*`, which take precedence.
    """
    meta: dict[str, Array] = {
        "meta_galaxy_id": np.array(row["galaxy_id"]),
        "meta_ra": np.array(row["ra"], np.float64),
        "meta_dec": np.array(row["dec"], np.float64),
        **carried,
        "meta_cutout_url": np.array(row["url_or_brick"] or ""),
        "meta_download_timestamp": np.array(row["downloaded_at"] or ""),
    }
    for name, key in WRITTEN.items():
        if row[name] is not None:
            meta[key] = np.array(row[name])
    return meta


def _plain(value: Array, name: str) -> Any:
    """A scalar in the index's type; None if empty or not such a scalar."""
    if value.ndim:
        return None
    if name in TEXT:
        return text_in(value) or None if value.dtype.kind == "U" else None
    number = _number(value.item()) if value.dtype.kind in "fiu" else None
    if number is None or name not in WHOLE:
        return number
    return int(number) if -(2**15) <= number < 2**15 else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
