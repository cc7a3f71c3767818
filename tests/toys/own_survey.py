"""What somebody with a survey of their own has: a CSV of galaxies, one of lenses, and a folder of FITS cutouts."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lensctl.cutout import cutout
from lensctl.io.cutouts.store import open_store
from lensctl.io.tables.files import write_table
from lensctl.io.tables.lens_catalogs import read_lens_catalog
from lensctl.rules.survey import LS_DR10_GRIZ
from lensctl.rules.survey_file import named_survey
from lensctl.sky import sky
from tests.toys.fits_cutouts import header_of, write_images

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ("half_light_px", "class", "fwhm_i", "depth_i")
SURVEY_FILE = ROOT / "examples" / "own-survey" / "survey.yaml"


def make(folder: Path, galaxies: int, lens_count: int) -> None:
    """catalog.csv, lenses.csv and cutouts/ in a folder, from a mock sky of the survey in examples/own-survey."""
    mine = named_survey(str(SURVEY_FILE))
    bands = mine.bands
    imaging = {band: LS_DR10_GRIZ.imaging[band] for band in bands}
    bits = {"BRIGHT": 1, **{f"SATUR_{band.upper()}": 2 + b for b, band in enumerate(bands)}, "MEDIUM": 11}
    sky_survey = dataclasses.replace(mine, columns={}, imaging=imaging, mask_bits=bits)
    sky(folder / "sky", survey=sky_survey, galaxies=galaxies, lenses=lens_count, workers=1)
    files = sorted((folder / "sky/south/tractor").rglob("*.fits"))
    rows = np.concatenate([fitsio.read(file, ext=1) for file in files])
    rows = rows[rows["type"].astype(str) != "PSF"]
    ids = [f"{name}_{number}" for name, number in zip(rows["brickname"].astype(str), rows["objid"], strict=True)]
    lenses = read_lens_catalog(str(folder / "sky/lenses.csv"))
    write_table(lenses.select(["name", "ra", "dec", "grading"]), str(folder / "lenses.csv"))
    objects = {"galaxy_id": ids, "ra": rows["ra"].astype(float), "dec": rows["dec"].astype(float)}
    pq.write_table(pa.table(objects), folder / "objects.parquet")
    where = {"root": folder / "sky", "survey": sky_survey, "workers": 1, "max_failed": 1}
    cutout(folder / "objects.parquet", folder / "all.zarr", **where)
    store = open_store(folder / "all.zarr")
    whole = np.flatnonzero(store.index["cutout_ok"].to_numpy(zero_copy_only=False))
    write_catalog(folder / "catalog.csv", rows[whole], bands)
    write_cutouts(folder / "cutouts", store.read(whole), rows[whole], bands)


def write_catalog(path: Path, rows: np.ndarray, bands: tuple[str, ...]) -> None:
    """The catalogue as people have it: own names, magnitudes, and sizes in pixels."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "RAJ2000", "DEJ2000", *(f"mag_{band}" for band in bands), *MEASURED])
        for number, row in enumerate(rows):
            flux = [float(row[f"flux_{band}"]) for band in bands]
            mags = [f"{22.5 - 2.5 * np.log10(f):.4f}" if f > 0 else "99" for f in flux]
            kind = "early" if str(row["type"]).strip() in ("DEV", "REX") or row["sersic"] > 2.5 else "late"
            depth = 22.5 - 2.5 * np.log10(5 / np.sqrt(row["psfdepth_i"]))
            seen = (f"{row['psfsize_i']:.3f}", f"{depth:.3f}")
            writer.writerow([number, row["ra"], row["dec"], *mags, f"{row['shape_r'] / 0.2:.2f}", kind, *seen])


def write_cutouts(folder: Path, images: np.ndarray, rows: np.ndarray, bands: tuple[str, ...]) -> None:
    """One file a galaxy, an image a band, in nanojansky."""
    folder.mkdir()
    for number, (image, row) in enumerate(zip(images, rows, strict=True)):
        header = header_of(float(row["ra"]), float(row["dec"]), len(image), 0.2, BUNIT="nJy")
        write_images(folder / f"{number}.fits", image * np.float32(3631), header, bands)
