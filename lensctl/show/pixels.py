"""Cutouts: a store, a single .npz, or a folder of .npz files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lensctl.io.cutouts import by_manifest, npz
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.provenance.steps import Chain, survey_of
from lensctl.rules import quality
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey
from lensctl.show.description import Description, Rows, as_text, counted

COUNTED = ("status", "source", "release", "layer", "pixel_scale_arcsec")
KEYS = ("key", "dtype", "shape", "value")
SPREAD = (("least", 0), ("p05", 5), ("median", 50), ("p95", 95), ("most", 100))


def store_facts(path: str) -> Description:
    """A cutout store."""
    store = open_store(path)
    index = store.index
    counts = {name: counted(index[name].to_pylist()) for name in COUNTED if name in index.column_names}
    usable = int(np.count_nonzero(index["cutout_ok"].to_numpy(zero_copy_only=False).astype(bool)))
    values = {
        "rows": store.n,
        "usable": usable,
        "size_px": store.size,
        "bands": ", ".join(store.bands),
        "dtype": "float32",
        "unit": "nanomaggy",
        "shards": store.layout.shards,
        "shard_rows": store.layout.shard_rows,
        "codec": store.layout.codec,
        "bytes": sum(int(size) for size in store.attributes["shard_bytes"]),
        "digest": store.digest,
    }
    spread = _spread(store)
    listings = [
        Rows("Origin and status of the cutouts", ("column", "cutouts"), _counts(counts)),
        Rows("Quality of the cutouts", ("column", *(name for name, _ in SPREAD)), spread),
    ]
    details = {
        "counts": counts,
        "quality": [dict(zip(("column", *(name for name, _ in SPREAD)), row, strict=True)) for row in spread],
        "index_columns": index.column_names,
        "attributes": {key: value for key, value in store.attributes.items() if key != "provenance"},
    }
    return Description("cutout store", values, listings, details, store.chain)


def _counts(counts: dict[str, dict[str, int]]) -> list[tuple[str, str]]:
    return [(name, as_text(values)) for name, values in counts.items()]


def _spread(store: Store) -> list[tuple[Any, ...]]:
    """Distribution of each quality column over the cutouts."""
    per_band = (quality.EMPTY, *quality.STATISTICS)
    names = ["bad_pixel_frac", *(f"{what}_{band}" for what in per_band for band in store.bands)]
    rows: list[tuple[Any, ...]] = []
    for name in names:
        if name not in store.index.column_names:
            continue
        values = store.index[name].to_numpy(zero_copy_only=False).astype(float)
        known = values[np.isfinite(values)]
        percentiles = np.percentile(known, [percent for _, percent in SPREAD]) if known.size else [np.nan] * len(SPREAD)
        rows.append((name, *(float(value) for value in percentiles)))
    return rows


def npz_facts(path: str) -> Description:
    """A single cutout; for an .npz without one, its arrays."""
    keys = _keys(path)
    if npz.CUTOUT not in keys:
        return _arrays_facts(path, keys)
    found = npz.read_npz(path)
    members = {npz.CUTOUT: found.cutout, **found.meta}
    chain: Chain = by_manifest.carried_chain(found, path)[1]
    bands = _bands(found.cutout.shape[2], survey_of(chain))
    measured = quality.measure(found.cutout[None], bands)
    plain = {name: column[0] for name, column in measured.items()}
    values = {
        "galaxy_id": str(found.meta["meta_galaxy_id"].item()),
        "ra": float(found.meta["meta_ra"]),
        "dec": float(found.meta["meta_dec"]),
        "size_px": found.cutout.shape[0],
        "status": str(plain["status"]),
        "cutout_ok": bool(plain["cutout_ok"]),
        "bytes": os.path.getsize(path),
        "cutout_sha256": quality.fingerprints(found.cutout[None])[0],
    }
    rows = [(name, array.dtype.str, str(array.shape), _value(name, array)) for name, array in members.items()]
    per_band = [(band, *(float(plain[f"{what}_{band}"]) for what in quality.STATISTICS)) for band in bands]
    listings = [
        Rows("Keys", KEYS, rows),
        Rows("Pixels, nanomaggies", ("band", *quality.STATISTICS), per_band),
    ]
    details = {
        "keys": [dict(zip(KEYS, row, strict=True)) for row in rows],
        "quality": {name: value.item() if hasattr(value, "item") else value for name, value in plain.items()},
    }
    return Description("cutout (.npz)", values, listings, details, chain)


def _keys(path: str) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (*npz.BROKEN, OSError) as error:
        raise InputError(f"{path}: not a whole .npz file ({error})", "download or remake it") from error


def _arrays_facts(path: str, keys: list[str]) -> Description:
    """The arrays of an .npz that is not a cutout; pickled arrays are refused."""
    try:
        found = npz.members_of(npz.read_bounded(path))
        members = {key: found[key] for key in keys}
    except (*npz.BROKEN, npz.Pickled, KeyError, OSError) as error:
        raise InputError(
            f"{path}: cannot be read ({error})", "it must be complete, and hold no Python objects"
        ) from error
    rows = [(name, array.dtype.str, str(array.shape), _value(name, array)) for name, array in members.items()]
    values = {"arrays": len(rows), "bytes": os.path.getsize(path)}
    return Description(
        "arrays (.npz)",
        values,
        [Rows("Keys", KEYS, rows)],
        {"keys": [dict(zip(KEYS, row, strict=True)) for row in rows]},
    )


def _bands(count: int, survey: Survey) -> tuple[str, ...]:
    return survey.bands if count == len(survey.bands) else tuple(str(band) for band in range(count))


def _value(name: str, values: Any) -> str:
    if name == npz.PROVENANCE:
        return "(below)"
    return str(values.item())[:100] if values.ndim == 0 else ""


def npz_folder_facts(path: str) -> Description:
    """A folder of single cutouts, described by the first one."""
    files = by_manifest.npz_files(path)
    first = npz_facts(str(files[0]))
    values = {
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "first": files[0].name,
        "last": files[-1].name,
    }
    return Description("folder of cutouts (.npz)", values, first.listings[:1], first.details, first.chain)


def holds_npz(path: Path) -> bool:
    """Whether a folder contains .npz files."""
    with os.scandir(path) as entries:
        return any(entry.name.endswith(".npz") and not entry.name.startswith(".") for entry in entries)
