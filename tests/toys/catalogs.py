"""Small made-up inputs: catalogue rows with the survey's column names, and what follows from them."""

from __future__ import annotations

import gzip
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa

from lensctl.io.tables.declared_types import conform
from lensctl.rules import derived


def rows(n: int, seed: int = 0, *, ra: float = 150.0, dec: float = 2.0, width_deg: float = 4.0) -> pa.Table:
    """Catalogue rows in a square of sky, of all types, some masked, some shallow; 1.7 of 4 rows make a pool."""
    random = np.random.default_rng(seed)
    columns = {
        "brickname": np.full(n, None),
        "objid": np.arange(n),
        "type": random.choice(["SER", "DEV", "REX", "EXP", "PSF"], n, p=[0.3, 0.25, 0.3, 0.1, 0.05]).astype(object),
        "ra": ra + random.uniform(0, width_deg, n),
        "dec": dec + random.uniform(0, width_deg, n),
        "maskbits": np.where(random.random(n) < 0.1, 2, 0),
        "nobs_g": random.integers(1, 6, n),
        "nobs_r": random.integers(1, 6, n),
        "nobs_z": random.integers(2, 14, n),
        "shape_r": random.lognormal(-0.3, 0.5, n),
        "shape_e1": random.normal(0, 0.25, n),
        "shape_e2": random.normal(0, 0.25, n),
        "sersic": random.uniform(0.5, 5, n),
        "flux_w1": random.lognormal(2, 1, n),
        "ebv": np.full(n, 0.03),
        "fitbits": np.zeros(n, int),
    }
    for band, bright in zip("grz", (0.5, 1.2, 1.8), strict=True):
        columns[f"flux_{band}"] = random.lognormal(bright, 0.9, n)
        columns[f"psfsize_{band}"] = random.uniform(1.0, 1.8, n)
        columns[f"psfdepth_{band}"] = random.uniform(200, 900, n)
        columns[f"galdepth_{band}"] = random.uniform(150, 700, n)
        columns[f"mw_transmission_{band}"] = np.full(n, 0.9)
    return conform(in_bricks(pa.table(columns)))


def in_bricks(table: pa.Table) -> pa.Table:
    """The rows, each with the name of a brick at its place."""
    places = zip(table["ra"].to_pylist(), table["dec"].to_pylist(), strict=True)
    names = [f"{10 * ra:04.0f}{'pm'[dec < 0]}{10 * abs(dec):03.0f}" for ra, dec in places]
    return table.set_column(table.column_names.index("brickname"), "brickname", pa.array(names))


def write_fits(table: pa.Table, path: Path, **extra: np.ndarray) -> Path:
    """The rows as a FITS table with upper-case names, as sweeps have them."""
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names} | extra
    kinds = {"brickname": "S8", "type": "S3"}
    data = {name.upper(): v.astype(kinds[name]) if name in kinds else v for name, v in columns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with fitsio.FITS(str(path), "rw", clobber=True) as hdus:
        hdus.write(list(data.values()), names=list(data))
    return path


def pool(n: int, seed: int = 0, **place: float) -> pa.Table:
    """Rows of a pool: every toy row with derived columns, of the pool's types."""
    made = derived.with_derived(rows(n, seed, **place))
    return made.filter(
        pa.array(np.isin(made["type"].to_numpy(zero_copy_only=False).astype("U3"), ("SER", "DEV", "REX")))
    )


def positives(n: int, seed: int = 1, **place: float) -> pa.Table:
    """Positives of tiers A and B, as `crossmatch` makes them, in another place than the toy pool."""
    made = pool(3 * n, seed, **{"ra": 200.0, **place}).slice(0, n)
    count = made.num_rows
    tiers = ["A" if i % 4 == 0 else "B" for i in range(count)]
    return (
        made.append_column("tier", pa.array(tiers))
        .append_column("sample_weight", pa.array([1.0 if tier == "A" else 0.5 for tier in tiers]))
        .append_column("ref", pa.array(["paper"] * count))
        .sort_by("galaxy_id")
    )


def listing(table: pa.Table, path: str = "cut.zarr") -> pa.Table:
    """Cutouts of a table's rows as the manifest sees them: all good."""
    n = table.num_rows
    return pa.table(
        {
            **{name: table[name] for name in ("galaxy_id", "ra", "dec")},
            "cutout_path": pa.array([path] * n),
            "cutout_index": pa.array(np.arange(n)),
            "cutout_ok": pa.array([True] * n),
            "status": pa.array(["ok"] * n),
            "cutout_sha256": pa.array([f"{i:064x}" for i in range(n)]),
        }
    )


def write_packed_fits(table: pa.Table, path: Path, tile_rows: int = 100) -> Path:
    """The rows as `fpack -table` packs them: text by GZIP_1, 4-byte integers by RICE_1, the rest by GZIP_2."""
    from astropy.io import fits
    from astropy.io.fits.hdu.compressed._codecs import Rice1

    letters = {"brickname": "8A", "type": "3A"}
    forms = {"i2": "I", "i4": "J", "f4": "E", "f8": "D"}
    columns, cards = [], {"ZTABLE": True, "ZTILELEN": tile_rows, "ZNAXIS1": 0, "ZNAXIS2": table.num_rows, "ZPCOUNT": 0}
    for i, name in enumerate(table.column_names, start=1):
        values = table[name].to_numpy(zero_copy_only=False)
        values = values.astype(f"S{letters[name][0]}") if name in letters else values
        form = letters.get(name) or forms[values.dtype.str[1:]]
        how = "GZIP_1" if name in letters else "RICE_1" if form == "J" else "GZIP_2"
        packed = np.empty(-(-len(values) // tile_rows), dtype=object)
        for tile, first in enumerate(range(0, len(values), tile_rows)):
            rows = values[first : first + tile_rows]
            data = rows.astype(rows.dtype.newbyteorder(">")).tobytes()
            if how == "GZIP_2":
                data = np.frombuffer(data, np.uint8).reshape(len(rows), -1).T.tobytes()
            coder = Rice1(blocksize=32, bytepix=4, tilesize=len(rows))
            data = bytes(coder.encode(rows)) if how == "RICE_1" else gzip.compress(data, mtime=0)
            packed[tile] = np.frombuffer(data, np.uint8)
        columns.append(fits.Column(name.upper(), "QB()", array=packed))
        cards |= {f"ZFORM{i}": form, f"ZCTYP{i}": how}
        cards["ZNAXIS1"] += 8 if name == "brickname" else 3 if name == "type" else values.dtype.itemsize
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header.update(cards)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path
