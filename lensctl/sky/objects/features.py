"""Components of a galaxy: a Sersic profile, core and envelope, or bulge, disc, and knots of arms, rings and clumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.sky.objects import spectra
from lensctl.sky.objects.styles import DEFAULT, Style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey
    from lensctl.sky.objects.population import Table

SHAPE = ("x", "y", "r_half", "n", "q", "phi")
"""Columns of a component beside its fluxes: offset from its galaxy (arcsec, x right, y up), and profile."""

GAUSSIAN = 0.5
"""Sersic index of a knot."""

CORE, ENVELOPE = 0.65, 1.8
"""Half-light radii of core and envelope, in that of the galaxy."""

Components = dict[str, "NDArray[np.float64]"]


def components(
    rng: np.random.Generator, galaxies: Table, kind: NDArray[np.str_], survey: Survey, style: Style = DEFAULT
) -> tuple[Components, NDArray[np.int64]]:
    """Decompose galaxies into the profiles they are rendered from.

    Returns
    -------
    table : mapping of (C,) float64
        SHAPE, and flux_BAND of each band in nanomaggies.
    owner : (C,) int64
        Row of the galaxy that each component belongs to.
    """
    columns = (*SHAPE, *survey.per_band("flux"))
    plain = np.flatnonzero(~np.isin(kind, list(_PARTS)))
    whole = {name: galaxies[name][plain] if name in galaxies else np.zeros(len(plain)) for name in columns}
    parts = _core_and_envelope(whole, style.envelope, survey) if style.envelope else [whole]
    owners = [plain] * len(parts)
    for row in np.flatnonzero(np.isin(kind, list(_PARTS))):
        galaxy = {name: float(galaxies[name][row]) for name in columns if name in galaxies}
        pieces = _PARTS[str(kind[row])](rng, galaxy, survey)
        parts += pieces
        owners += [np.full(len(piece["x"]), row) for piece in pieces]
    table = {name: np.concatenate([part[name] for part in parts]) for name in columns}
    return table, np.concatenate(owners)


def _core_and_envelope(galaxies: Components, share: float, survey: Survey) -> list[Components]:
    """Two profiles for each galaxy, whose half-light radius is about its own; the envelope is a round exponential."""
    core = {**galaxies, "r_half": CORE * galaxies["r_half"]}
    envelope = {**galaxies, "r_half": ENVELOPE * galaxies["r_half"], "n": np.ones(len(galaxies["n"]))}
    envelope["q"] = 0.5 * (1 + galaxies["q"])
    for flux in survey.per_band("flux"):
        core[flux], envelope[flux] = (1 - share) * galaxies[flux], share * galaxies[flux]
    return [core, envelope]


def _profile(galaxy: dict[str, float], share: Sequence[float], survey: Survey, **changed: float) -> Components:
    """One profile at the galaxy's centre with a fraction of its flux in g, r and z."""
    values = {"x": 0.0, "y": 0.0, **galaxy, **changed}
    for flux, part in zip(survey.per_band("flux"), spectra.shares(survey, share), strict=True):
        values[flux] = galaxy[flux] * part
    return {name: np.array([value]) for name, value in values.items()}


def _knots(
    galaxy: dict[str, float],
    share: Sequence[float],
    survey: Survey,
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    weight: NDArray[np.float64],
    r_half: NDArray[np.float64],
) -> Components:
    """Round knots at positions in the galaxy's plane (arcsec along and across the major axis, face-on)."""
    along, across = place[0], place[1] * galaxy["q"]
    c, s = np.cos(galaxy["phi"]), np.sin(galaxy["phi"])
    ones = np.ones(len(along))
    table = {
        "x": c * along - s * across,
        "y": s * along + c * across,
        "r_half": r_half,
        "n": GAUSSIAN * ones,
        "q": ones,
        "phi": 0 * ones,
    }
    for flux, part in zip(survey.per_band("flux"), spectra.shares(survey, share), strict=True):
        table[flux] = galaxy[flux] * part * weight / weight.sum()
    return table


def _spiral(rng: np.random.Generator, galaxy: dict[str, float], survey: Survey) -> list[Components]:
    bulge, arms = rng.uniform(0.12, 0.32), rng.uniform(0.24, 0.42)
    in_bulge = (0.6 * bulge, bulge, 1.25 * bulge)
    in_arms = (1.35 * arms, arms, 0.75 * arms)
    in_disc = tuple(1 - b - a for b, a in zip(in_bulge, in_arms, strict=True))
    number, knots = int(rng.integers(2, 4)), 16
    pitch, turn = np.tan(np.radians(rng.uniform(14, 30))), rng.choice([-1, 1])
    theta = np.linspace(0, rng.uniform(2.4, 4.0), knots)
    radius = 0.5 * galaxy["r_half"] * np.exp(pitch * theta)
    angles = np.concatenate([turn * theta + 2 * np.pi * k / number for k in range(number)])
    radii = np.tile(radius, number) * rng.normal(1, 0.05, number * knots)
    weight = np.exp(-np.tile(radius, number) / (1.8 * galaxy["r_half"])) * rng.gamma(3, 1 / 3, number * knots)
    size = 0.09 * galaxy["r_half"] + 0.08 * np.tile(radius, number)
    place = (radii * np.cos(angles), radii * np.sin(angles))
    return [
        _profile(galaxy, in_bulge, survey, r_half=0.22 * galaxy["r_half"], n=2.5, q=max(galaxy["q"], 0.75)),
        _profile(galaxy, in_disc, survey, n=1.0),
        _knots(galaxy, in_arms, survey, place, weight, size),
    ]


def _ring(rng: np.random.Generator, galaxy: dict[str, float], survey: Survey) -> list[Components]:
    ring, disc = rng.uniform(0.18, 0.34), rng.uniform(0.10, 0.22)
    in_ring, in_disc = (1.5 * ring, ring, 0.65 * ring), (1.1 * disc, disc, 0.9 * disc)
    in_bulge = tuple(1 - a - b for a, b in zip(in_ring, in_disc, strict=True))
    radius = rng.uniform(2.3, 4.2)
    knots = 30
    angle = 2 * np.pi * np.arange(knots) / knots
    weight = np.clip(1 + 0.35 * np.cos(angle - rng.uniform(0, 6.3)) + rng.normal(0, 0.2, knots), 0.2, None)
    place = (radius * np.cos(angle), radius * np.sin(angle))
    bulge_size = float(np.clip(0.45 * galaxy["r_half"], 0.45, 1.0))
    return [
        _profile(galaxy, in_bulge, survey, r_half=bulge_size, n=3.5, q=max(galaxy["q"], 0.7)),
        _profile(galaxy, in_disc, survey, r_half=0.75 * radius, n=1.0),
        _knots(galaxy, in_ring, survey, place, weight, np.full(knots, rng.uniform(0.25, 0.4))),
    ]


def _edge_on(rng: np.random.Generator, galaxy: dict[str, float], survey: Survey) -> list[Components]:
    bulge = rng.uniform(0.0, 0.3)
    in_bulge = (0.7 * bulge, bulge, 1.2 * bulge)
    in_disc = tuple(1 - b for b in in_bulge)
    return [
        _profile(galaxy, in_bulge, survey, r_half=0.3 * galaxy["r_half"], n=2.0, q=0.8),
        _profile(galaxy, in_disc, survey),
    ]


def _clumpy(rng: np.random.Generator, galaxy: dict[str, float], survey: Survey) -> list[Components]:
    disc = rng.uniform(0.3, 0.5)
    clumps = int(rng.integers(4, 10))
    in_clumps = (1.08 * (1 - disc), 1 - disc, 0.9 * (1 - disc))
    in_disc = tuple(1 - c for c in in_clumps)
    spread = 0.75 * galaxy["r_half"]
    place = (rng.normal(0, spread, clumps), rng.normal(0, spread, clumps))
    return [
        _profile(galaxy, in_disc, survey, n=1.0),
        _knots(galaxy, in_clumps, survey, place, rng.gamma(1.5, 1, clumps) + 0.1, rng.uniform(0.12, 0.35, clumps)),
    ]


def _pair(rng: np.random.Generator, galaxy: dict[str, float], survey: Survey) -> list[Components]:
    """An early-type galaxy with one or two small blue companions nearby, not in a lensing configuration."""
    pieces = [_profile(galaxy, (1.0, 1.0, 1.0), survey)]
    for _ in range(int(rng.integers(1, 3))):
        distance, angle = rng.uniform(2.0, 5.0), rng.uniform(0, 2 * np.pi)
        flux_r = 10 ** rng.uniform(-0.5, 0.6)
        g_r, r_z = rng.normal(0.4, 0.15), rng.normal(0.3, 0.15)
        companion = {
            "x": distance * np.cos(angle),
            "y": distance * np.sin(angle),
            **spectra.fluxes(survey, flux_r * 10 ** (-0.4 * g_r), flux_r, flux_r * 10 ** (0.4 * r_z)),
            "r_half": rng.uniform(0.2, 0.6),
            "n": 1.0,
            "q": rng.uniform(0.35, 1),
            "phi": rng.uniform(0, np.pi),
        }
        pieces.append({name: np.array([value]) for name, value in companion.items()})
    return pieces


_PARTS: dict[str, Callable[[np.random.Generator, dict[str, float], Survey], list[Components]]] = {
    "spiral": _spiral,
    "ring": _ring,
    "edge_on": _edge_on,
    "clumpy": _clumpy,
    "pair": _pair,
}
