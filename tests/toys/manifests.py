"""A small manifest that every table gate passes, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lensctl.io.cutouts.layout import Layout, index_rows
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.cutouts.writer import StoreWriter
from lensctl.io.provenance.steps import Step, chain_of, stamp, survey_of
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.rules import quality, split
from lensctl.rules.strata import nobs_bin
from lensctl.rules.survey import LS_DR10, Survey


def toy_positions(n: int, seed: int, survey: Survey = LS_DR10) -> tuple[np.ndarray, np.ndarray]:
    """Positions all over the sky whose splits have the survey's shares, in an order that mixes them."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, 12 * n + 60), np.degrees(np.arcsin(rng.uniform(-0.9, 0.5, 12 * n + 60)))
    names = split_of_pixels(split.healpix(ra, dec), survey)
    counts = {name: round(share * n) for name, share in survey.split_fractions.items()}
    counts["train"] += n - sum(counts.values())
    rows = np.sort(np.concatenate([np.flatnonzero(names == name)[:count] for name, count in counts.items()]))
    return ra[rows], dec[rows]


def split_of_pixels(pixels: np.ndarray, survey: Survey) -> np.ndarray:
    """The split of each HEALPix pixel by a survey's rule."""
    return split.splits_of(pixels, survey.split_seed, survey.split_edges)


def toy_manifest(positives: int = 200, negatives: int = 1000, seed: int = 0, survey: Survey = LS_DR10) -> pa.Table:
    """A manifest whose classes differ in nothing but label, tier and weight; it names a survey other than ls-dr10."""
    n = positives + negatives
    rng = np.random.default_rng(seed)
    (ra1, dec1), (ra0, dec0) = (toy_positions(count, seed + k, survey) for k, count in ((1, positives), (2, negatives)))
    ra, dec = np.concatenate([ra1, ra0]), np.concatenate([dec1, dec0])
    label = np.repeat([1, 0], [positives, negatives])
    tier = np.where(label == 1, np.where(np.arange(n) % 10 == 0, "A", "B"), np.where(np.arange(n) % 7 == 0, "N2", "N1"))
    pixel = split.healpix(ra, dec)
    nobs = rng.integers(3, 15, n)
    flux = rng.lognormal(2.0, 0.5, n)
    bluer, redder = survey.colour_columns
    own = [a for a, b in survey.colours if a == b]
    table = pa.table(
        {
            "galaxy_id": [f"{i:04d}p000_{i}" for i in range(n)],
            "cutout_path": pa.array(["cutouts.zarr"] * n),
            "cutout_index": pa.array(np.arange(n)),
            "label": pa.array(label, pa.int8()),
            "sample_weight": np.where(tier == "B", 0.5, 1.0),
            "split": pa.array(split_of_pixels(pixel, survey), pa.string()),
            "tier": pa.array(tier, pa.string()),
            "type": pa.array(rng.choice(survey.strata.get("type", ("SER", "DEV", "REX")), n), pa.string()),
            survey.nobs_bin: pa.array(nobs_bin(nobs), pa.string()),
            "healpix_128": pixel,
            "ra": ra,
            "dec": dec,
            "confuser_category": pa.array(np.where(tier == "N2", next(iter(survey.confusers)), None), pa.string()),
            survey.depth("psfsize"): pa.array(rng.normal(1.3, 0.1, n), pa.float32()),
            survey.depth("psfdepth"): pa.array(rng.lognormal(5.0, 0.3, n), pa.float32()),
            survey.detection_flux: pa.array(flux * 0.6, pa.float32()),
            survey.depth("flux"): pa.array(flux, pa.float32()),
            bluer: pa.array(rng.normal(1.2, 0.2, n), pa.float32()),
            redder: pa.array(rng.normal(0.8, 0.1, n), pa.float32()),
            **{f"{band}_minus_{band}": pa.array(np.zeros(n), pa.float32()) for band in own},
            survey.depth("nobs"): pa.array(nobs, pa.int16()),
            "sampling_weight": np.where(label == 1, 1.0, 10.0),
            "cutout_ok": pa.array([True] * n),
            "status": pa.array(["ok"] * n),
            "ref": pa.array(np.where(label == 1, "paper", None), pa.string()),
        }
    )
    return table if survey == LS_DR10 else stamp(table, (Step("manifest", {}, survey=survey),))


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
    """A store of the rows of a table, of its survey; `facts` are further columns of its index."""
    n = table.num_rows
    chain = chain_of(table)
    survey = survey_of(chain)
    columns = {
        **quality.measure(pixels, survey.bands),
        "galaxy_id": table["galaxy_id"].to_pylist(),
        "ra": table["ra"].to_numpy(),
        "dec": table["dec"].to_numpy(),
        "source": ["coadd"] * n,
        "release": ["DR10"] * n,
        "layer": ["ls-dr10-south" if survey == LS_DR10 else survey.name] * n,
        "pixel_scale_arcsec": [survey.pixel_scale_arcsec] * n,
        "cutout_sha256": quality.fingerprints(pixels),
        **facts,
    }
    layout = Layout(n, pixels.shape[1], survey.bands, 1024, "none")
    with begin_folder(str(path), {"made": "up"}) as place:
        writer = StoreWriter(place, layout)
        for shard in range(layout.shards):
            start, stop = layout.span(shard)
            rows = index_rows(layout, {name: values[start:stop] for name, values in columns.items()})
            writer.writer.write(shard, pixels[start:stop], rows)
        writer.finish(chain, {})
    return open_store(path)


def without_empty_columns(store: Path) -> None:
    """Make a store's index what versions wrote that knew no half-empty cutouts."""
    table = pq.read_table(store / "index.parquet")
    pq.write_table(
        table.drop_columns([name for name in table.column_names if name.startswith(quality.EMPTY)]),
        store / "index.parquet",
    )


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
    survey = survey_of(chain_of(table))
    numbers = {name: table[name].to_numpy().astype(float) for name in (*survey.colour_columns, survey.depth("flux"))}
    fainter = {survey.depth_band: np.zeros(n)}  # than in the depth band, magnitudes
    for (bluer, redder), name in [*zip(survey.colours, survey.colour_columns, strict=True)] * 2:
        if redder in fainter:
            fainter[bluer] = fainter[redder] + numbers[name]
        elif bluer in fainter:
            fainter[redder] = fainter[bluer] - numbers[name]
    flux = numbers[survey.depth("flux")]
    fluxes = np.stack([flux * 10 ** (-0.4 * fainter.get(band, 0.0)) for band in survey.bands], axis=1)  # (n, B)
    psf_px = table[survey.depth("psfsize")].to_numpy().astype(float) / survey.pixel_scale_arcsec
    sigma = np.hypot(psf_px / 2.355, 2.0)  # pixels
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    shape = np.exp(-(x**2 + y**2) / 2 / sigma[:, None, None] ** 2) / (2 * np.pi * sigma[:, None, None] ** 2)
    noise = 0.02 / np.sqrt(table[survey.depth("nobs")].to_numpy().astype(float))
    pixels = rng.standard_normal((n, size, size, len(survey.bands)), np.float32) * noise[:, None, None, None].astype(
        np.float32
    )
    return pixels + (shape[..., None] * fluxes[:, None, None, :]).astype(np.float32)
