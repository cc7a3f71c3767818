"""lenses.csv: the mock's lenses in lenscat's format, with duplicates, outliers and alternative names."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lensctl.sky.pointings import generator

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = ("name", "RA [deg]", "DEC [deg]", "zlens", "type", "grading", "ref")
REFS = (
    ("Mock search I (2020)", 0.07),
    ("Mock search II (2021)", 0.25),
    ("Mock search III (2022)", 0.48),
    ("Mock search III (2022) | Mock network (2021)", 0.12),
    ("Mock network (2021)", 0.08),
)
POSITION_ERROR_ARCSEC = 0.15
OUTSIDE_SHARE = 0.062
"""Fraction of rows far from every window, like the 316 of lenscat's 5,104 outside DR10."""

DUPLICATE_SHARE, TWO_NAMES_SHARE, UNNAMED_SHARE = 0.05, 0.05, 0.015
OUTSIDE_CONFIDENT_SHARE = 0.085
_OWN_STREAM = (0, 0)


class Row(NamedTuple):
    """One line of the catalogue; position in degrees."""

    name: str
    ra: float
    dec: float
    zlens: str
    type: str
    grading: str
    ref: str


def rows(seed: int, truth: dict[str, NDArray[Any]]) -> list[Row]:
    """The catalogue of the lenses in a truth table, sorted by right ascension.

    Contains at least one of each complication: a duplicate within 3 arcsec under another name, a name with `DESI-` in
    its second half, a name without `DESI-`, a lens outside the footprint.
    """
    rng = generator(seed, *_OWN_STREAM)
    is_lens = truth["is_lens"]
    count = int(is_lens.sum())
    if count == 0:
        return []
    ra, dec = _near(rng, truth["ra"][is_lens], truth["dec"][is_lens], POSITION_ERROR_ARCSEC)
    refs = rng.choice([ref for ref, _ in REFS], count, p=[share for _, share in REFS])
    order = rng.permutation(count)
    some = [max(1, round(share * count)) for share in (UNNAMED_SHARE, TWO_NAMES_SHARE, DUPLICATE_SHARE)]
    unnamed, two_names, duplicated = np.split(order, np.cumsum(some))[:3]
    table = []
    for i in range(count):
        name = _designation("DESI-", ra[i], dec[i], 4)
        if i in unnamed:
            name = _designation("MOCKJ", ra[i], dec[i], 3)
        elif i in two_names:
            name = f"{_designation('MOCKJ', ra[i], dec[i], 2)} | {name}"
        grade = str(truth["grade"][is_lens][i])
        table.append(Row(name, ra[i], dec[i], _redshift(rng), "galaxy", grade, str(refs[i])))
    for i in duplicated:
        again_ra, again_dec = _near(rng, ra[i : i + 1], dec[i : i + 1], 0.8)
        prefix, places = ("DESI-", 4) if rng.random() < 0.7 else ("MOCKJ", 3)
        name = _designation(prefix, again_ra[0], again_dec[0], places)
        table.append(Row(name, again_ra[0], again_dec[0], "-", "galaxy", "probable", REFS[0][0]))
    for _ in range(max(1, round(OUTSIDE_SHARE * count))):
        away_ra = float(rng.uniform(0, 360))
        away_dec = float(rng.uniform(-65, -25) if rng.random() < 0.6 else rng.uniform(36, 60))
        grade = "confident" if rng.random() < OUTSIDE_CONFIDENT_SHARE else "probable"
        name = _designation("DESI-", away_ra, away_dec, 4)
        table.append(Row(name, away_ra, away_dec, _redshift(rng), "galaxy", grade, REFS[2][0]))
    return sorted(table, key=lambda row: (row.ra, row.name))


def _near(
    rng: np.random.Generator, ra: NDArray[np.float64], dec: NDArray[np.float64], sigma_arcsec: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions with a normal error added per axis, clipped at 2 sigma."""
    east, north = np.clip(rng.normal(0, 1, (2, len(ra))), -2, 2) * sigma_arcsec / 3600
    return (ra + east / np.cos(np.radians(dec))) % 360, dec + north


def _designation(prefix: str, ra: float, dec: float, places: int) -> str:
    return f"{prefix}{ra:0{4 + places}.{places}f}{dec:+0{4 + places}.{places}f}"


def _redshift(rng: np.random.Generator) -> str:
    return f"{rng.normal(0.5, 0.15):.3f}" if rng.random() < 0.6 else "-"


def write(path: Path, table: list[Row]) -> None:
    """Write the catalogue in lenscat's format."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for row in table:
            writer.writerow([row.name, f"{row.ra:.5f}", f"{row.dec:.5f}", *row[3:]])
