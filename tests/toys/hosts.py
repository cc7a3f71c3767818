"""Made-up hosts: red galaxies with the noise, gain and PSF of a coadd, a table and a store with invvar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from lensctl.astro import sersic
from lensctl.io.cutouts.layout import Layout, index_rows
from lensctl.io.cutouts.writer import StoreWriter
from lensctl.io.provenance.steps import Step
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.io.tables.files import write_table
from lensctl.rules import quality

SKY = np.array([0.111, 0.23, 2.4])
GAIN = np.array([12_000.0, 15_000.0, 23_000.0])
TRANSMISSION = {"g": 0.9, "r": 0.94, "z": 0.97}
PSFSIZE = np.array([1.4, 1.25, 1.2])


@dataclass(frozen=True)
class Hosts:
    """Where they are, and the planted sky and gain of each band."""

    table: Path
    store: Path
    rows: pa.Table
    images: np.ndarray
    invvar: np.ndarray


def rows_of(count: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    flux_z = 10 ** (0.4 * (22.5 - rng.uniform(18, 20, count)))
    flux = {"flux_z": flux_z, "flux_r": flux_z * 10**-0.32, "flux_g": flux_z * 10**-0.92}
    e, angle = rng.uniform(0, 0.3, count), rng.uniform(0, 2 * np.pi, count)
    return pa.table(
        {
            "galaxy_id": [f"{1500 + i // 100:04d}p020_{i % 100}" for i in range(count)],
            "ra": 150 + 0.05 * np.arange(count) % 20,
            "dec": np.full(count, 2.0),
            "type": ["REX" if i % 7 == 0 else "DEV" for i in range(count)],
            "shape_e1": np.where(np.arange(count) % 7 == 0, 0, e * np.cos(angle)).astype(np.float32),
            "shape_e2": np.where(np.arange(count) % 7 == 0, 0, e * np.sin(angle)).astype(np.float32),
            "shape_r": np.full(count, 1.0, np.float32),
            "sersic": np.full(count, 4.0, np.float32),
            "split": ["test"] * count,
            "mag_z": 22.5 - 2.5 * np.log10(flux_z),
            **{name: values.astype(np.float32) for name, values in flux.items()},
            **{f"psfsize_{b}": np.full(count, s, np.float32) for b, s in zip("grz", PSFSIZE, strict=True)},
            **{f"psfdepth_{b}": np.full(count, 300.0, np.float32) for b in "grz"},
            **{
                f"mw_transmission_{b}": np.full(count, t, np.float32)
                for b, t in zip("grz", (0.9, 0.94, 0.97), strict=True)
            },
        }
    )


def pixels_of(rows: pa.Table, size: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images and invvar, (N, S, S, 3): galaxies as Sersic profiles wide enough for any PSF, and their photon noise."""
    rng, count = np.random.default_rng(seed), rows.num_rows
    shape = sersic.Shapes(np.full(count, 1.3), np.full(count, 1.5), np.full(count, 0.8), np.zeros(count))
    profiles = sersic.stamps(shape, np.zeros(count), np.zeros(count), size=size, pixel_scale=0.262)
    flux = np.stack([rows[f"flux_{band}"].to_numpy() for band in "grz"], axis=1)
    light = profiles[..., None] * flux[:, None, None, :]
    noise = rng.standard_normal(light.shape) * np.sqrt((SKY + light) / GAIN)
    images = (light + noise).astype(np.float32)
    return images, (GAIN / (SKY + images)).astype(np.float32)


def make_hosts(
    folder: Path,
    count: int = 12,
    size: int = 101,
    *,
    invvar: bool = True,
    rows: pa.Table | None = None,
    pixels: tuple[np.ndarray, np.ndarray] | None = None,
    **columns: object,
) -> Hosts:
    """A table and a store of hosts in a folder; `columns` replace those of the index, such as source.

    `pixels` are images and invvar, in place of made-up ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows_of(count) if rows is None else rows
    images, weights = pixels_of(rows, size) if pixels is None else pixels
    chain = (Step("cutout", {"made": "up"}),)
    layout = Layout(rows.num_rows, size, shard_rows=8, planes=("invvar",) if invvar else ())
    index = {
        **quality.measure(images, layout.bands),
        **{name: rows[name] for name in ("galaxy_id", "ra", "dec")},
        "source": ["coadd"] * rows.num_rows,
        "layer": ["ls-dr10"] * rows.num_rows,
        "pixel_scale_arcsec": np.full(rows.num_rows, 0.262),
        "offset_x_px": np.full(rows.num_rows, 0.2),
        "offset_y_px": np.full(rows.num_rows, -0.3),
        "cutout_sha256": quality.fingerprints(images),
        **columns,
    }
    with begin_folder(str(folder / "hosts.zarr"), {"made": "up"}) as place:
        writer = StoreWriter(place, layout)
        for shard in range(layout.shards):
            part = slice(*layout.span(shard))
            of_shard = index_rows(layout, index).slice(part.start, part.stop - part.start)
            writer.writer.write(shard, images[part], of_shard, planes={"invvar": weights[part]} if invvar else None)
        writer.finish(chain, {"source": "coadd"})
    write_table(rows, str(folder / "hosts.parquet"))
    return Hosts(folder / "hosts.parquet", folder / "hosts.zarr", rows, images, weights)
