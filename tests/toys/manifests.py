"""A small manifest that every table gate passes, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lensctl.io.cutouts.layout import Layout, index_rows
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.cutouts.writer import StoreWriter
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.rules import quality, split
from lensctl.rules.bins import TYPES, nobs_z_bin

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}


def toy_positions(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions all over the sky whose splits have the plan's shares, in an order that mixes them."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, 12 * n + 60), np.degrees(np.arcsin(rng.uniform(-0.9, 0.5, 12 * n + 60)))
    names = split.splits_of(split.healpix(ra, dec))
    counts = {name: round(share * n) for name, share in SHARES.items()}
    counts["train"] += n - sum(counts.values())
    rows = np.sort(np.concatenate([np.flatnonzero(names == name)[:count] for name, count in counts.items()]))
    return ra[rows], dec[rows]


def toy_manifest(positives: int = 200, negatives: int = 1000, seed: int = 0) -> pa.Table:
    """A manifest whose classes differ in nothing but label, tier and weight."""
    n = positives + negatives
    rng = np.random.default_rng(seed)
    (ra1, dec1), (ra0, dec0) = toy_positions(positives, seed + 1), toy_positions(negatives, seed + 2)
    ra, dec = np.concatenate([ra1, ra0]), np.concatenate([dec1, dec0])
    label = np.repeat([1, 0], [positives, negatives])
    tier = np.where(label == 1, np.where(np.arange(n) % 10 == 0, "A", "B"), np.where(np.arange(n) % 7 == 0, "N2", "N1"))
    pixel = split.healpix(ra, dec)
    nobs = rng.integers(3, 15, n)
    flux_z = rng.lognormal(2.0, 0.5, n)
    return pa.table(
        {
            "galaxy_id": [f"{i:04d}p000_{i}" for i in range(n)],
            "cutout_path": pa.array(["cutouts.zarr"] * n),
            "cutout_index": pa.array(np.arange(n)),
            "label": pa.array(label, pa.int8()),
            "sample_weight": np.where(tier == "B", 0.5, 1.0),
            "split": pa.array(split.splits_of(pixel), pa.string()),
            "tier": pa.array(tier, pa.string()),
            "type": pa.array(rng.choice(TYPES, n), pa.string()),
            "nobs_z_bin": pa.array(nobs_z_bin(nobs), pa.string()),
            "healpix_128": pixel,
            "ra": ra,
            "dec": dec,
            "confuser_category": pa.array(np.where(tier == "N2", "ring_proxy", None), pa.string()),
            "psfsize_z": pa.array(rng.normal(1.3, 0.1, n), pa.float32()),
            "psfdepth_z": pa.array(rng.lognormal(5.0, 0.3, n), pa.float32()),
            "flux_r": pa.array(flux_z * 0.6, pa.float32()),
            "flux_z": pa.array(flux_z, pa.float32()),
            "g_minus_r": pa.array(rng.normal(1.2, 0.2, n), pa.float32()),
            "r_minus_z": pa.array(rng.normal(0.8, 0.1, n), pa.float32()),
            "nobs_z": pa.array(nobs, pa.int16()),
            "sampling_weight": np.where(label == 1, 1.0, 10.0),
            "cutout_ok": pa.array([True] * n),
            "status": pa.array(["ok"] * n),
            "ref": pa.array(np.where(label == 1, "paper", None), pa.string()),
        }
    )


def changed(table: pa.Table, name: str, values: object) -> pa.Table:
    """The table with another column of this name."""
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def with_rows(table: pa.Table, rows: list[int], **values: object) -> pa.Table:
    """The table with other values in some rows."""
    for name, value in values.items():
        column = table[name].to_pylist()
        for row in rows:
            column[row] = value
        table = table.set_column(table.column_names.index(name), name, pa.array(column, table[name].type))
    return table


def moved(table: pa.Table, row: int, ra: float, dec: float) -> pa.Table:
    """The table with one object elsewhere; its pixel and split go along."""
    pixel = split.healpix([ra], [dec])
    return with_rows(table, [row], ra=ra, dec=dec, healpix_128=int(pixel[0]), split=str(split.splits_of(pixel)[0]))


def border() -> tuple[float, float, float]:
    """ra, dec1, dec2 of two places 2 arcsec apart, the first in train and the second in test."""
    for ra in np.arange(0.0, 360.0, 0.1):
        dec = np.arange(-30.0, 30.0, 1e-2)
        names = split.splits_of(split.healpix(np.full_like(dec, ra), dec))
        for k in np.flatnonzero((names[:-1] == "train") & (names[1:] == "test")):
            low, high = dec[k], dec[k + 1]
            while high - low > 0.2 / 3600:
                middle = (low + high) / 2
                if split.splits_of(split.healpix([ra], [middle]))[0] == "train":
                    low = middle
                elif split.splits_of(split.healpix([ra], [middle]))[0] == "test":
                    high = middle
                else:
                    break
            else:
                return float(ra), float(low - 0.9 / 3600), float(high + 0.9 / 3600)
    raise AssertionError("no border between train and test")


def evaluation(**changes: object) -> dict[str, object]:
    """An evaluation's metrics.json that reaches level mvp."""
    figure = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 58, "events": 52}
    low = {"value": 0.02, "low": 0.01, "high": 0.03, "n": 500, "events": 12}
    headline = {
        "tier_a_recall": figure,
        "tier_a_auc": {**figure, "value": 0.97},
        "contaminant_fpr": {**low, "worst_category": "ring_proxy"},
        "fpr_by_category": {"ring_proxy": low, "edge_on_proxy": low},
        "ece_equal_width": 0.01,
        "ece_equal_mass": 0.01,
        "ece_positive": {**low, "value": 0.05},
        "nan_scores": 0,
        "collapsed": False,
        "val_auc": {**figure, "value": 0.96},
        "test_auc": {**figure, "value": 0.95},
    }
    return {"headline": {**headline, **changes}}


def store_of(path: Path, table: pa.Table, pixels: np.ndarray, **facts: object) -> Store:
    """A store of the rows of a table; `facts` are further columns of its index."""
    n = table.num_rows
    columns = {
        **quality.measure(pixels),
        "galaxy_id": table["galaxy_id"].to_pylist(),
        "ra": table["ra"].to_numpy(),
        "dec": table["dec"].to_numpy(),
        "source": ["coadd"] * n,
        "release": ["DR10"] * n,
        "layer": ["ls-dr10-south"] * n,
        "pixel_scale_arcsec": [0.262] * n,
        "cutout_sha256": quality.fingerprints(pixels),
        **facts,
    }
    layout = Layout(n, pixels.shape[1], "grz", 1024, "none")
    with begin_folder(str(path), {"made": "up"}) as place:
        writer = StoreWriter(place, layout)
        for shard in range(layout.shards):
            start, stop = layout.span(shard)
            rows = index_rows({name: values[start:stop] for name, values in columns.items()})
            writer.writer.write(shard, pixels[start:stop], rows)
        writer.finish((), {})
    return open_store(path)


def with_store(folder: Path, table: pa.Table, pixels: np.ndarray, **facts: object) -> Path:
    """The manifest of a table beside the store it names; gives the manifest's path."""
    store = store_of(folder / "cutouts.zarr", table, pixels, **facts)
    names = ("cutout_ok", "status", "cutout_sha256")
    for name in names:
        column = store.index[name]
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    pq.write_table(table, folder / "manifest.parquet")
    return folder / "manifest.parquet"


def galaxies(table: pa.Table, seed: int = 0, *, size: int = 101) -> np.ndarray:
    """Round galaxies of a table's fluxes and colours, blurred by its PSF, under noise that its nobs sets."""
    rng = np.random.default_rng(seed)
    n = table.num_rows
    flux_z = table["flux_z"].to_numpy().astype(float)
    r_z, g_r = (table[name].to_numpy().astype(float) for name in ("r_minus_z", "g_minus_r"))
    fluxes = np.stack([flux_z * 10 ** (-0.4 * (r_z + g_r)), flux_z * 10 ** (-0.4 * r_z), flux_z], axis=1)  # (n, 3)
    sigma = np.hypot(table["psfsize_z"].to_numpy().astype(float) / 0.262 / 2.355, 2.0)  # pixels
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    shape = np.exp(-(x**2 + y**2) / 2 / sigma[:, None, None] ** 2) / (2 * np.pi * sigma[:, None, None] ** 2)
    noise = 0.02 / np.sqrt(table["nobs_z"].to_numpy().astype(float))
    pixels = rng.standard_normal((n, size, size, 3), np.float32) * noise[:, None, None, None].astype(np.float32)
    return pixels + (shape[..., None] * fluxes[:, None, None, :]).astype(np.float32)
