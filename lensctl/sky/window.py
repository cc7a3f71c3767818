"""Simulates one pointing: data planes, catalogue rows and truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro.moffat import Psf
from lensctl.sky import dirt, lenses, measure, places, render
from lensctl.sky.objects import features, population
from lensctl.sky.pointings import Pointing, generator, margin_px

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey
    from lensctl.sky.objects.styles import Style

PSF_BETA_SCATTER, PSF_ELLIPTICITY = 0.1, 0.015

_RIM_ARCSEC = 2.62  # beyond a window, from where galaxies still shine into it

_LENS = (
    "theta_e",
    "lens_q",
    "lens_phi",
    "gamma1",
    "gamma2",
    "source_x",
    "source_y",
    "source_r_half",
    "source_n",
    "source_q",
    "source_phi",
)
_ARCS = ("magnification", "arc_peak_snr", "arc_contrast")

Columns = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Window:
    """Result for one pointing: data planes, Tractor columns and truth, objects in the same order."""

    planes: dirt.Planes
    catalog: Columns
    truth: Columns


def lens_facts(survey: Survey) -> tuple[str, ...]:
    """Columns of the truth table that only lenses have."""
    return (*_LENS, *survey.per_band("source_flux"), *_ARCS, *survey.per_band("absorbed_flux"))


def psfs_of(rng: np.random.Generator, pointing: Pointing) -> list[Psf]:
    """The pointing's PSFs: Moffats with its psfsize, the style's wings, a little different per band, and shapes."""
    bands, scale = len(pointing.psfsize), pointing.survey.pixel_scale_arcsec
    beta = pointing.style.psf_beta + np.clip(rng.normal(0, PSF_BETA_SCATTER, bands), -0.3, 0.3)
    e1, e2 = rng.normal(0, PSF_ELLIPTICITY, (2, bands))
    shapes = zip(pointing.psfsize, beta, e1, e2, strict=True)
    return [Psf.of_psfsize(size, float(b), scale, float(a1), float(a2)) for size, b, a1, a2 in shapes]


def build(seed: int, pointing: Pointing) -> Window:
    """Draw, render, expose and measure one pointing; random numbers depend only on (seed, pointing)."""
    rng, survey = generator(seed, pointing.index), pointing.survey
    psfs = psfs_of(rng, pointing)
    nexp = dirt.exposures(rng, pointing)
    sigma = np.array([n / np.sqrt(max(k, 1)) for n, k in zip(pointing.noise, pointing.nobs, strict=True)])

    # population
    galaxies, kind, types = population.galaxies(rng, pointing.galaxies, survey, pointing.style, pointing.host_types)
    stars = population.stars(rng, rng.poisson(pointing.galaxies * population.STARS_PER_GALAXY), False, survey)
    x, y = places.places(rng, pointing, len(kind) + len(stars["mag_r"]), galaxies["central"].astype(int))
    count = len(kind)

    # light of galaxies (catalogued, too faint, or in the rim) and arcs
    canvas = render.Canvas.blank(pointing.size, survey)
    _draw_galaxies(rng, canvas, galaxies, kind, x[:count], y[:count], sigma, pointing.style)
    _draw_surroundings(rng, canvas, pointing, sigma)
    facts, seen_as = _draw_arcs(rng, canvas, pointing, galaxies, (x, y), psfs, sigma)
    light = canvas.seen(psfs)

    # stars; a bright one may lie anywhere, also on a galaxy
    bright = population.stars(rng, 0, pointing.dirt.bright_star, survey)
    stars = {name: np.concatenate([stars[name], bright[name]]) for name in stars}
    star_x = np.concatenate([x[count:], rng.uniform(0.12, 0.88, len(bright["mag_r"])) * pointing.size])
    star_y = np.concatenate([y[count:], rng.uniform(0.12, 0.88, len(bright["mag_r"])) * pointing.size])
    fluxes = np.stack([stars[name] for name in survey.per_band("flux")])
    render.add_stars(light, star_x, star_y, fluxes, psfs, sigma)
    bits = dirt.star_mask(star_x, star_y, stars["mag_r"], pointing.size, survey)

    # observed data, measurement and truth
    planes = dirt.expose(rng, light, nexp, bits, pointing)
    dirt.punch_holes(rng, planes, x[:count], y[:count], pointing)
    at = (x[:count], y[:count]), (star_x, star_y)
    true, true_kind, true_types = _all_objects(galaxies, kind, types, stars, *at, survey)
    fitted = measure.mistype(rng, true_types, true_kind)
    as_fitted = dict(true)
    for name, values in seen_as.items():
        as_fitted[name] = true[name] + np.pad(values, (0, len(true_types) - len(values)))
    catalog = measure.measure(rng, pointing, as_fitted, fitted, planes, psfs)
    catalog |= measure.star_columns(rng, pointing, true["mag_r"])
    owned = places.inside(pointing, true["x"], true["y"])
    truth = _truth(pointing, true, true_kind, fitted, facts)
    catalog, truth = ({name: values[owned] for name, values in table.items()} for table in (catalog, truth))
    objid = np.arange(int(owned.sum()))
    return Window(planes, {**catalog, "objid": objid}, {**truth, "objid": objid})


def _draw_galaxies(
    rng: np.random.Generator,
    canvas: render.Canvas,
    galaxies: population.Table,
    kind: NDArray[np.str_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    sigma: NDArray[np.float64],
    style: Style,
) -> None:
    parts, owner = features.components(rng, galaxies, kind, canvas.survey, style)
    at_x, at_y = (v[owner] + parts[name] / canvas.survey.pixel_scale_arcsec for v, name in ((x, "x"), (y, "y")))
    canvas.add_profiles(at_x, at_y, parts, sigma)


def _draw_surroundings(
    rng: np.random.Generator, canvas: render.Canvas, pointing: Pointing, sigma: NDArray[np.float64]
) -> None:
    """Draw uncatalogued galaxies: too faint ones anywhere, and all magnitudes in the window's rim."""
    side, survey, margin = pointing.size, pointing.survey, margin_px(pointing.survey)
    rim = round(_RIM_ARCSEC / survey.pixel_scale_arcsec)
    arcmin2 = (side * survey.pixel_scale_arcsec / 60) ** 2
    faint = population.faint_galaxies(rng, rng.poisson(population.FAINT_PER_SQ_ARCMIN * arcmin2), survey)
    x, y = rng.uniform(-rim, side + rim, (2, len(faint["n"])))
    canvas.add_profiles(x, y, faint, sigma)

    density = pointing.galaxies / (side - 2 * margin) ** 2
    drawn = rng.uniform(-2 * rim, side + 2 * rim, (2, rng.poisson(density * (side + 4 * rim) ** 2)))
    in_rim = (np.abs(drawn - (side - 1) / 2) > (side - 1) / 2 - margin + rim // 2).any(axis=0)
    x, y = drawn[:, in_rim]
    others, kind, _ = population.galaxies(rng, len(x), survey, pointing.style)
    _draw_galaxies(rng, canvas, others, kind, x, y, sigma, pointing.style)


def _draw_arcs(
    rng: np.random.Generator,
    canvas: render.Canvas,
    pointing: Pointing,
    galaxies: population.Table,
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    psfs: Sequence[Psf],
    sigma: NDArray[np.float64],
) -> tuple[list[dict[str, float]], dict[str, NDArray[np.float64]]]:
    """Add arcs around the first galaxies; returns each lens's parameters, and the effect of the arcs on its fit."""
    facts, survey = [], pointing.survey
    tiers = ["confident"] * pointing.confident + ["probable"] * pointing.probable
    rows: dict[str, list[float]] = {name: [] for name in ("x", "y", *survey.per_band("flux"))}
    for i, grade in enumerate(tiers):
        host = {name: float(galaxies[name][i]) for name in galaxies}
        x, y = float(place[0][i]), float(place[1][i])
        offset = (x - round(x), y - round(y))
        arcs, model = lenses.draw(rng, host, grade, psfs, sigma, offset, survey, pointing.style)
        canvas.add(x, y, arcs.image)
        flux = np.array([host[name] for name in survey.per_band("flux")])
        added, shift = lenses.absorbed(arcs.seen, model, flux, sigma)
        absorbed = dict(zip(survey.per_band("absorbed_flux"), map(float, added), strict=True))
        facts.append({**arcs.facts, **absorbed})
        for name, value in zip(rows, (*shift, *added), strict=True):
            rows[name].append(float(value))
    return facts, {name: np.array(values) for name, values in rows.items()}


def _all_objects(
    galaxies: population.Table,
    kind: NDArray[np.str_],
    types: NDArray[np.str_],
    stars: population.Table,
    galaxies_at: tuple[NDArray[np.float64], NDArray[np.float64]],
    stars_at: tuple[NDArray[np.float64], NDArray[np.float64]],
    survey: Survey,
) -> tuple[population.Table, NDArray[np.str_], NDArray[np.str_]]:
    """Galaxies and stars as one table."""
    count = len(stars["mag_r"])
    blank = {"r_half": 0.0, "n": 0.0, "q": 1.0, "phi": 0.0, "redshift": np.nan}
    true = {name: np.concatenate([galaxies[name], np.full(count, value)]) for name, value in blank.items()}
    for name in survey.per_band("flux"):
        true[name] = np.concatenate([galaxies[name], stars[name]])
    true["mag_r"] = np.concatenate([np.full(len(kind), np.nan), stars["mag_r"]])
    for i, name in enumerate(("x", "y")):
        true[name] = np.concatenate([galaxies_at[i], stars_at[i]])
    kinds = np.concatenate([kind, np.full(count, "star")])
    return true, kinds, np.concatenate([types, np.full(count, "PSF")])


def _truth(
    pointing: Pointing,
    true: population.Table,
    kind: NDArray[np.str_],
    fitted: NDArray[np.str_],
    facts: list[dict[str, float]],
) -> Columns:
    """Columns of the truth table; lens parameters are NaN for other objects."""
    count, lenses_ = len(kind), len(facts)
    ra, dec = pointing.wcs().all_pix2world(true["x"], true["y"], 0)
    grade = np.full(count, "", "U9")
    grade[: pointing.confident], grade[pointing.confident : lenses_] = "confident", "probable"
    truth: Columns = {
        "brickname": np.full(count, pointing.brick.name),
        "split": np.full(count, pointing.split),
        "healpix_128": np.full(count, pointing.healpix),
        "kind": kind,
        "type": fitted,
        "is_lens": np.arange(count) < lenses_,
        "is_confuser": np.isin(kind, [name for name in population.KINDS if name not in ("early", "disc")]),
        "grade": grade,
        "ra": np.asarray(ra) % 360,
        "dec": np.asarray(dec),
    }
    for name in ("x", "y", *pointing.survey.per_band("flux"), "redshift", "r_half", "n", "q", "phi"):
        truth[name] = true[name]
    for name in lens_facts(pointing.survey):
        values = np.full(count, np.nan)
        values[:lenses_] = [lens[name] for lens in facts]
        truth[name] = values
    return truth
