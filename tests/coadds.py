"""Small made-up brick coadds on disk, laid out and compressed as the survey's are."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa

SCALE_DEG = 0.262 / 3600
CENTRES = {"1500p020": (150.0, 2.0), "1502p020": (150.25, 2.0), "0000m005": (0.02, -0.5)}


def header(ra: float, dec: float, shape: tuple[int, int], **extra: object) -> dict[str, object]:
    """Cards of a coadd whose reference point is the middle of its brick, off-centre in a window."""
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CRPIX1": shape[1] / 2 - 20.0,
        "CRPIX2": shape[0] / 2 + 15.5,
        "CD1_1": -SCALE_DEG,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": SCALE_DEG,
        "LSDR": "DR10",
        "DRVERSIO": 10000,
        "BUNIT": "nanomaggy",
        **extra,
    }


def make_brick(
    root: Path,
    name: str,
    *,
    base: str = "south/coadd",
    bands: str = "grz",
    shape: tuple[int, int] = (330, 360),
    compress: bool = True,
    seed: int = 0,
    **extra: object,
) -> dict[str, np.ndarray]:
    """Write one brick; returns its pixels by band as they read back."""
    folder = root / base / name[:3] / name if base else root
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([seed, *name.encode()])
    pixels = {}
    for band in bands:
        noise = random.normal(0, 0.02, shape).astype(np.float32)
        noise[:20] = 0.0
        cards = [{"name": k, "value": v} for k, v in header(*CENTRES[name], shape, **extra).items()]
        file = folder / f"legacysurvey-{name}-image-{band}.fits{'.fz' if compress else ''}"
        tiles = {"compress": "RICE", "tile_dims": (100, 100), "qlevel": 16.0, "qmethod": "SUBTRACTIVE_DITHER_2"}
        fitsio.write(str(file), noise, header=cards, clobber=True, **(tiles if compress else {}))
        pixels[band] = fitsio.read(str(file))
    return pixels


def objects(name: str, count: int, seed: int = 1, spread_px: float = 130.0) -> pa.Table:
    """Rows of a table around a brick's reference point."""
    random = np.random.default_rng(seed)
    ra, dec = CENTRES[name]
    return pa.table(
        {
            "galaxy_id": [f"{name}_{i}" for i in range(count)],
            "ra": (ra + random.uniform(-spread_px, spread_px, count) * SCALE_DEG / np.cos(np.radians(dec))) % 360.0,
            "dec": dec + random.uniform(-spread_px, spread_px, count) * SCALE_DEG,
        }
    )
