"""The mock population: galaxies of every type and confuser class, and stars, with their distributions.

Magnitudes are observed AB, sizes arcsec. All parameters of the distributions are in this module and in `styles`; the
sky's README prints the main ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.sky.objects import spectra
from lensctl.sky.objects.styles import DEFAULT, Style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

FAINTEST_MAG_Z = 21.5
HOST_FAINTEST_MAG_Z = 20.4

KINDS = tuple(DEFAULT.kinds)
"""Kinds of galaxy; all except early and disc resemble lenses."""

SLOPE = {"early": 0.34, "disc": 0.42, "spiral": 0.30, "ring": 0.20, "edge_on": 0.38, "clumpy": 0.30, "pair": 0.25}
"""d log10 N / d magnitude."""

MAG_Z_RANGE = {
    "early": (17.4, FAINTEST_MAG_Z),
    "disc": (17.6, FAINTEST_MAG_Z),
    "spiral": (16.8, 19.4),
    "ring": (17.3, 19.3),
    "edge_on": (17.8, 20.9),
    "clumpy": (18.5, 20.2),
    "pair": (17.8, 20.6),
}

HOST_MAG_Z_RANGE, HOST_SLOPE = (17.8, HOST_FAINTEST_MAG_Z), 0.24
"""Lens galaxies are early types drawn with weight flux^0.25, which flattens the slope by 0.10."""

EARLY_TYPES = {"DEV": 0.40, "SER": 0.44, "REX": 0.16}
HOST_TYPES = {"DEV": 0.38, "SER": 0.45, "REX": 0.17}

STARS_PER_GALAXY = 0.10
STAR_MAG_R_RANGE, STAR_SLOPE = (15.6, 21.5), 0.12
BRIGHT_STAR_MAG_R_RANGE = (12.0, 14.6)

FAINT_PER_SQ_ARCMIN = 16.0
FAINT_MAG_R_RANGE, FAINT_SLOPE = (22.3, 24.6), 0.33
"""Galaxies in the images that are too faint for the catalogue."""

MEMBER_SHARE = 0.25
"""Fraction of early-type galaxies that lie in the group of a brighter one, at its redshift (see `places`)."""

Table = dict[str, "NDArray[np.float64]"]
_Drawn = tuple[Table, "NDArray[np.str_]"]


def magnitudes(
    rng: np.random.Generator, count: int, bright_faint: tuple[float, float], slope: float
) -> NDArray[np.float64]:
    """Magnitudes drawn from number counts growing as 10^(slope m) between two limits."""
    bright, faint = bright_faint
    reach = 10 ** (slope * (faint - bright)) - 1
    return np.asarray(bright + np.log10(1 + rng.random(count) * reach) / slope)


def flux(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Flux in nanomaggies of AB magnitudes."""
    return np.asarray(10 ** ((22.5 - magnitude) / 2.5))


def galaxies(
    rng: np.random.Generator, count: int, survey: Survey, style: Style = DEFAULT, hosts: Sequence[str] = ()
) -> tuple[Table, NDArray[np.str_], NDArray[np.str_]]:
    """Draw galaxies; the first ones are early-type lens galaxies with the types in `hosts`.

    Returns
    -------
    table : mapping of (count,) float64
        mag_z, redshift, r_half, n, q, phi, and flux_BAND of the survey's bands: the entire galaxy, including arms and
        clumps; central is the row of the galaxy in whose group it lies, or -1.
    kind, type : (count,) text
        One of KINDS; the Tractor type that a fit would choose.
    """
    shares = np.array([style.kinds[name] for name in KINDS])
    kind = rng.choice(KINDS, count, p=shares / shares.sum())
    kind[: len(hosts)] = "early"
    type_ = np.full(count, "EXP", "U3")
    table: Table = {name: np.zeros(count) for name in ("mag_z", "redshift", "g_r", "r_z", "r_half", "n", "q", "phi")}
    table["central"] = np.full(count, -1.0)
    for name, draw in _DRAW.items():
        where = np.flatnonzero(kind == name)
        columns, types = draw(rng, len(where), style, np.array(hosts if name == "early" else (), "U3"))
        if "central" in columns:
            member = columns["central"] >= 0
            columns["central"][member] = where[columns["central"][member].astype(int)]
        for column, values in columns.items():
            table[column][where] = values
        type_[where] = types
    late = table["redshift"] == 0
    table["redshift"][late] = _late_redshift(rng, table["mag_z"][late])
    table["phi"] = rng.uniform(0, np.pi, count)
    round_ = type_ == "REX"
    table["q"][round_] = 1.0
    table["n"][round_ | (type_ == "EXP")] = 1.0
    table["n"][type_ == "DEV"] = 4.0
    z = flux(table["mag_z"])
    r = z * 10 ** (-0.4 * table["r_z"])
    g = r * 10 ** (-0.4 * table["g_r"])
    return table | spectra.fluxes(survey, g, r, z), kind, type_


def _early(rng: np.random.Generator, count: int, style: Style, hosts: NDArray[np.str_]) -> _Drawn:
    mag = magnitudes(rng, count, MAG_Z_RANGE["early"], SLOPE["early"])
    mag[: len(hosts)] = magnitudes(rng, len(hosts), HOST_MAG_Z_RANGE, HOST_SLOPE)
    types = rng.choice(list(EARLY_TYPES), count, p=list(EARLY_TYPES.values()))
    types[: len(hosts)] = hosts
    central = _groups(rng, mag)
    return {**_early_look(rng, mag, style, central), **_early_shape(rng, mag, types), "central": central}, types


def _groups(rng: np.random.Generator, mag: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each galaxy the row of the brighter one in whose group it lies, or -1.

    MEMBER_SHARE of them lie in the group of a galaxy that lies in none, drawn with weight flux^0.5. Whether a galaxy is
    a lens plays no part.
    """
    central = np.full(len(mag), -1.0)
    heads: list[int] = []
    for i in np.argsort(mag):
        if heads and rng.random() < MEMBER_SHARE:
            weight = np.sqrt(flux(mag[heads]))
            central[i] = rng.choice(heads, p=weight / weight.sum())
        else:
            heads.append(int(i))
    return central


def _early_look(
    rng: np.random.Generator, mag: NDArray[np.float64], style: Style, central: NDArray[np.float64] | None = None
) -> Table:
    redshift = np.clip(0.30 + 0.13 * (mag - 18.5) + rng.normal(0, 0.13, len(mag)), 0.06, 0.92)
    if central is not None:
        redshift = np.where(central >= 0, redshift[central.astype(int)], redshift)
    steps, g_r, r_z = (np.array(row) for row in style.early_colours)
    return {
        "mag_z": mag,
        "redshift": redshift,
        "g_r": np.interp(redshift, steps, g_r) + rng.normal(0, 0.07, len(mag)),
        "r_z": np.interp(redshift, steps, r_z) + rng.normal(0, 0.05, len(mag)),
    }


def _early_shape(rng: np.random.Generator, mag: NDArray[np.float64], types: NDArray[np.str_]) -> Table:
    r_half = 10 ** (np.log10(1.25) - 0.13 * (mag - 19) + rng.normal(0, 0.15, len(mag)))
    r_half = np.where(types == "REX", np.clip(0.6 * r_half, 0.25, 0.9), np.clip(r_half, 0.35, 5.0))
    return {
        "r_half": r_half,
        "n": np.clip(np.exp(rng.normal(np.log(3.6), 0.28, len(mag))), 1.6, 6.0),
        "q": 1 - 0.6 * rng.beta(1.7, 2.4, len(mag)),
    }


def _disc(rng: np.random.Generator, count: int, style: Style, _: NDArray[np.str_]) -> _Drawn:
    mag = magnitudes(rng, count, MAG_Z_RANGE["disc"], SLOPE["disc"])
    r_half = np.clip(10 ** (np.log10(1.2) - 0.11 * (mag - 19) + rng.normal(0, 0.16, count)), 0.3, 5)
    q = rng.uniform(0.27, 1, count)
    types = np.where(rng.random(count) < 0.62, "SER", "EXP")
    types[(q > 0.6) & (r_half < 1.1) & (rng.random(count) < 0.9)] = "REX"
    g_r = np.clip(rng.normal(*style.disc_g_r, count), 0.25, 1.3)
    columns = {
        "mag_z": mag,
        "g_r": g_r,
        "r_z": _disc_r_z(rng, g_r),
        "r_half": r_half,
        "n": np.clip(np.exp(rng.normal(np.log(1.1), 0.3, count)), 0.5, 2.5),
        "q": q,
    }
    return columns, types


def _disc_r_z(rng: np.random.Generator, g_r: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.22 + 0.48 * g_r + rng.normal(0, 0.08, len(g_r))


def _spiral(rng: np.random.Generator, count: int, _style: Style, _: NDArray[np.str_]) -> _Drawn:
    g_r = np.clip(rng.normal(0.62, 0.12, count), 0.3, 1.0)
    columns = {
        "mag_z": magnitudes(rng, count, MAG_Z_RANGE["spiral"], SLOPE["spiral"]),
        "g_r": g_r,
        "r_z": _disc_r_z(rng, g_r),
        "r_half": np.clip(np.exp(rng.normal(np.log(2.5), 0.25, count)), 1.5, 4.5),
        "n": np.clip(np.exp(rng.normal(np.log(1.4), 0.25, count)), 0.8, 2.6),
        "q": rng.uniform(0.5, 1, count),
    }
    return columns, np.where(rng.random(count) < 0.75, "SER", "EXP")


def _ring(rng: np.random.Generator, count: int, _style: Style, _: NDArray[np.str_]) -> _Drawn:
    columns = {
        "mag_z": magnitudes(rng, count, MAG_Z_RANGE["ring"], SLOPE["ring"]),
        "g_r": rng.normal(0.95, 0.15, count),
        "r_z": np.clip(rng.normal(0.62, 0.10, count), 0.3, 0.9),
        "r_half": rng.uniform(1.0, 2.2, count),
        "n": rng.uniform(4.0, 5.5, count),
        "q": rng.uniform(0.5, 1, count),
    }
    return columns, np.where(rng.random(count) < 0.55, "DEV", "SER")


def _edge_on(rng: np.random.Generator, count: int, _style: Style, _: NDArray[np.str_]) -> _Drawn:
    g_r = np.clip(rng.normal(0.8, 0.22, count), 0.3, 1.4)
    columns = {
        "mag_z": magnitudes(rng, count, MAG_Z_RANGE["edge_on"], SLOPE["edge_on"]),
        "g_r": g_r,
        "r_z": _disc_r_z(rng, g_r),
        "r_half": np.clip(np.exp(rng.normal(np.log(1.7), 0.3, count)), 0.9, 4.5),
        "n": np.clip(np.exp(rng.normal(np.log(1.0), 0.2, count)), 0.6, 1.8),
        "q": rng.uniform(0.11, 0.29, count),
    }
    return columns, rng.choice(["SER", "DEV", "EXP"], count, p=[0.6, 0.12, 0.28])


def _clumpy(rng: np.random.Generator, count: int, _style: Style, _: NDArray[np.str_]) -> _Drawn:
    columns = {
        "mag_z": magnitudes(rng, count, MAG_Z_RANGE["clumpy"], SLOPE["clumpy"]),
        "g_r": rng.uniform(0.02, 0.36, count),
        "r_z": rng.uniform(-0.05, 0.25, count),
        "r_half": rng.uniform(0.9, 2.2, count),
        "n": rng.uniform(0.5, 1.1, count),
        "q": rng.uniform(0.45, 1, count),
    }
    return columns, rng.choice(["SER", "REX", "EXP"], count, p=[0.5, 0.3, 0.2])


def _pair(rng: np.random.Generator, count: int, style: Style, _: NDArray[np.str_]) -> _Drawn:
    mag = magnitudes(rng, count, MAG_Z_RANGE["pair"], SLOPE["pair"])
    types = rng.choice(list(EARLY_TYPES), count, p=list(EARLY_TYPES.values()))
    return {**_early_look(rng, mag, style), **_early_shape(rng, mag, types)}, types


def _late_redshift(rng: np.random.Generator, mag: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(0.20 + 0.09 * (mag - 18.5) + rng.normal(0, 0.09, len(mag)), 0.02, 0.9)


_DRAW = {
    "early": _early,
    "disc": _disc,
    "spiral": _spiral,
    "ring": _ring,
    "edge_on": _edge_on,
    "clumpy": _clumpy,
    "pair": _pair,
}


def faint_galaxies(rng: np.random.Generator, count: int, survey: Survey) -> Table:
    """Galaxies below the catalogue limit: small blue discs, with the columns of `galaxies`."""
    mag_r = magnitudes(rng, count, FAINT_MAG_R_RANGE, FAINT_SLOPE)
    r = flux(mag_r)
    g = r * 10 ** (-0.4 * np.clip(rng.normal(0.5, 0.3, count), -0.1, 1.6))
    z = r * 10 ** (0.4 * np.clip(rng.normal(0.5, 0.3, count), -0.2, 1.6))
    return {
        **spectra.fluxes(survey, g, r, z),
        "r_half": np.clip(np.exp(rng.normal(np.log(0.42), 0.35, count)), 0.15, 1.2),
        "n": np.full(count, 1.0),
        "q": rng.uniform(0.35, 1, count),
        "phi": rng.uniform(0, np.pi, count),
    }


def stars(rng: np.random.Generator, count: int, bright: bool, survey: Survey) -> Table:
    """Stars: mag_r and flux_BAND of each band, (count,) or with `bright` (count + 1,), the bright star last."""
    mag_r = magnitudes(rng, count, STAR_MAG_R_RANGE, STAR_SLOPE)
    if bright:
        mag_r = np.append(mag_r, rng.uniform(*BRIGHT_STAR_MAG_R_RANGE))
    g_r = np.clip(rng.normal(0.85, 0.4, len(mag_r)), 0.2, 1.5)
    steps, locus = (0.2, 0.5, 0.8, 1.1, 1.35, 1.5), (0.02, 0.22, 0.40, 0.62, 0.95, 1.7)
    r_z = np.interp(g_r, steps, locus) + rng.normal(0, 0.04, len(mag_r))
    r = flux(mag_r)
    return {"mag_r": mag_r, **spectra.fluxes(survey, r * 10 ** (-0.4 * g_r), r, r * 10 ** (0.4 * r_z))}
