"""Pointings of the mock survey: windows of bricks, divided among the splits, with PSF, depth and data flaws."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules import split
from lensctl.rules.errors import InputError
from lensctl.rules.strata import NOBS_BINS, nobs_bin
from lensctl.rules.survey import LS_DR10, Survey
from lensctl.sky.bricks import Brick, brick_at
from lensctl.sky.objects import population
from lensctl.sky.objects.styles import DEFAULT, Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from astropy.wcs import WCS
    from numpy.typing import NDArray

GALAXIES_PER_SQ_DEG = 54_000
GALAXIES_PER_POINTING = 100
POINTINGS_STEP = 20
"""Windows come in multiples of 20, which divide well among the splits, such as 14, 3 and 3."""

CONFIDENT_SHARE = 0.4
NOBS = (("1-2", 0.06, (1, 2)), ("3-5", 0.65, (3, 4, 5)), ("6-10", 0.235, (6, 7, 8, 9, 10)), ("11+", 0.055, (11, 12)))
"""Bins of exposures in the depth band: name, fraction of the pointings, numbers of exposures."""

SHARPEST, BROADEST = 1 / 1.2, 1.3044
"""Limits of psfsize: relative to the sharpest band's median, and to the broadest band's."""

SKY_SCATTER, GAIN_SCATTER = 0.13, 0.09
"""Scatter of the logarithm of the sky's brightness (moon, airmass) and of the gain (exposure time, clouds)."""

_TILE_RA = (*range(0, 45, 5), *range(125, 250, 5), *range(315, 360, 5))
_TILE_DEC = range(-15, 30, 5)
_TILE_DEG = 5
_POINTINGS_PER_TILE = 12
_BRICK_EDGE_ARCSEC = 34.0  # windows avoid the rim where neighbouring bricks overlap
_LEAST_ROOM_ARCSEC = 51.35  # side of the smallest window, within its margins
_TRIES = 400_000


@dataclass(frozen=True)
class Dirt:
    """Data flaws of one pointing: a band without files, a strip without exposures, NaN pixels, a bright star."""

    missing_band: str = ""
    unexposed_band: str = ""
    nan_centres: int = 0
    nan_edges: int = 0
    bright_star: bool = False


@dataclass(frozen=True)
class Pointing:
    """One window: `x0`, `y0` is its first pixel in the brick's grid, `size` its side in pixels.

    `host_types` are the types of its lens galaxies, confident lenses first. For each band of the survey: `nobs`,
    `psfsize` (arcsec), and of each exposure `sky` (nanomaggies per pixel) and `gain` (electrons per nanomaggy).
    """

    index: int
    brick: Brick
    x0: int
    y0: int
    size: int
    healpix: int
    split: str
    survey: Survey
    galaxies: int = 0
    confident: int = 0
    probable: int = 0
    host_types: tuple[str, ...] = ()
    nobs: tuple[int, ...] = ()
    psfsize: tuple[float, ...] = ()
    sky: tuple[float, ...] = ()
    gain: tuple[float, ...] = ()
    ebv: float = 0.03
    dirt: Dirt = Dirt()
    style: Style = DEFAULT

    @property
    def noise(self) -> tuple[float, ...]:
        """Noise of the sky in a pixel of one exposure, nanomaggies: that of its electrons."""
        return tuple(float(np.sqrt(sky / gain)) for sky, gain in zip(self.sky, self.gain, strict=True))

    def wcs(self) -> WCS:
        """The window's WCS: the brick's tangent plane with a shifted reference pixel."""
        return window_wcs(self.brick, self.x0, self.y0, self.survey)


@dataclass(frozen=True)
class Size:
    """Requested size of a sky; None means chosen automatically."""

    galaxies: int
    lenses: int
    window_px: int | None = None
    full_bricks: bool = False


def margin_px(survey: Survey) -> int:
    """Minimum distance of catalogued objects from the edge of their window, so that a cutout fits."""
    return survey.cutout_size_px // 2 + 2


def clearance_px(survey: Survey) -> int:
    """Minimum distance of a window from the border of its HEALPix pixel: more than half a cutout."""
    return 2 * (survey.cutout_size_px // 2) + 10


def least_window_px(survey: Survey) -> int:
    """Side of the smallest window."""
    return 2 * margin_px(survey) + round(_LEAST_ROOM_ARCSEC / survey.pixel_scale_arcsec)


def psfsize_limits(survey: Survey) -> tuple[float, float]:
    """Least and greatest psfsize, arcsec."""
    medians = [imaging.psf_fwhm_arcsec for imaging in survey.imaging.values()]
    return round(SHARPEST * min(medians), 3), round(BROADEST * max(medians), 3)


def window_wcs(brick: Brick, x0: int, y0: int, survey: Survey) -> WCS:
    """TAN projection of a window of a brick: CRVAL at the brick's centre, the survey's pixels, east to the left."""
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [brick.ra, brick.dec]
    middle = (survey.bricks.side_px + 1) / 2
    wcs.wcs.crpix = [middle - x0, middle - y0]
    wcs.wcs.cd = np.diag([-1.0, 1.0]) * survey.pixel_scale_arcsec / 3600
    return wcs


def generator(seed: int, *place: int) -> np.random.Generator:
    """Random generator of one place, which depends only on the seed and the place."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=place)))


def plan(seed: int, size: Size, survey: Survey = LS_DR10, style: Style = DEFAULT) -> list[Pointing]:
    """Choose the windows and their contents.

    Raises
    ------
    InputError
        A survey without imaging, more lenses than a third of the galaxies, or a window too small for a cutout, or too
        large for a brick or a HEALPix pixel.
    """
    if not survey.imaging:
        raise InputError(
            f"survey {survey.name} does not say what its imaging is like, which a mock of it needs",
            "give `imaging` of each band in its file: seeing, noise, gain and saturation",
        )
    if size.lenses > size.galaxies / 3:
        raise InputError(
            f"{size.lenses} lenses are too many for {size.galaxies} galaxies", "use at most a third with --lenses"
        )
    count, side = _count_and_side(size, survey)
    least, most = least_window_px(survey), survey.bricks.side_px
    if not least <= side <= most:
        raise InputError(f"windows cannot have {side} px", f"use --window-px between {least} and {most}")
    rng = generator(seed)
    placed = list(_places(rng, _quota(count, survey), side, survey))
    pointings = [replace(p, index=i, style=style) for i, p in enumerate(sorted(placed, key=lambda p: p.brick.id))]
    pointings = _with_conditions(rng, pointings)
    pointings = _with_numbers(rng, pointings, size)
    return _with_dirt(rng, _with_host_types(rng, pointings))


def _count_and_side(size: Size, survey: Survey) -> tuple[int, int]:
    """Number and side of the windows."""
    scale, side_px, margin = survey.pixel_scale_arcsec, survey.bricks.side_px, margin_px(survey)
    per_px = GALAXIES_PER_SQ_DEG * (scale / 3600) ** 2
    if size.full_bricks:
        owned_px = min(int(survey.bricks.size_deg * 3600 / scale), side_px - 2 * margin)
        return max(7, -(-size.galaxies // max(1, int(per_px * owned_px**2)))), side_px
    if size.window_px is not None:
        each = max(1.0, per_px * max(size.window_px - 2 * margin, 1) ** 2)
        return POINTINGS_STEP * max(1, round(size.galaxies / each / POINTINGS_STEP)), size.window_px
    count = POINTINGS_STEP * max(1, round(size.galaxies / GALAXIES_PER_POINTING / POINTINGS_STEP))
    side = np.sqrt(size.galaxies / count / per_px) + 2 * margin
    return count, min(side_px, max(least_window_px(survey), int(np.ceil(side / 50)) * 50))


def _quota(count: int, survey: Survey) -> dict[str, int]:
    """Number of windows of each split: in proportion, and at least one."""
    numbers = _deal(count, list(survey.split_fractions.values()))
    while 0 in numbers:
        numbers[int(np.argmax(numbers))] -= 1
        numbers[numbers.index(0)] += 1
    return dict(zip(split.SPLITS, numbers, strict=True))


def _places(rng: np.random.Generator, quota: dict[str, int], side: int, survey: Survey) -> Iterator[Pointing]:
    """Windows in distinct bricks and HEALPix pixels, each entirely within one, until every split has its number."""
    remaining, side_px = dict(quota), survey.bricks.side_px
    edge = round(_BRICK_EDGE_ARCSEC / survey.pixel_scale_arcsec)
    total = sum(quota.values())
    tiles = rng.permutation(len(_TILE_RA) * len(_TILE_DEC))
    tiles = tiles[: max(2, -(-total // (1 if side > side_px // 2 else _POINTINGS_PER_TILE)))]
    taken: set[int | str] = set()
    for attempt in range(_TRIES):
        if not any(remaining.values()):
            return
        tile = int(tiles[attempt % len(tiles)])
        ra0, dec0 = _TILE_RA[tile // len(_TILE_DEC)], _TILE_DEC[tile % len(_TILE_DEC)]
        ra, dec = ra0 + rng.uniform(0.3, _TILE_DEG - 0.3), dec0 + rng.uniform(0.3, _TILE_DEG - 0.3)
        brick = brick_at(ra, dec, survey.bricks.size_deg)
        least = min(edge, (side_px - side) // 2)
        x0, y0 = (int(v) for v in rng.integers(least, side_px - side - least + 1, 2))
        pixel = _only_healpix(brick, x0, y0, side, survey)
        if pixel is None or not taken.isdisjoint((pixel, brick.name)):
            continue
        name = split.split_of(pixel, survey.split_seed, survey.split_edges)
        if remaining[name] == 0:
            continue
        remaining[name] -= 1
        taken |= {pixel, brick.name}
        yield Pointing(0, brick, x0, y0, side, pixel, name, survey)
    raise InputError(f"no room for {total} windows of {side} px", "use fewer galaxies or smaller windows")


def _only_healpix(brick: Brick, x0: int, y0: int, side: int, survey: Survey) -> int | None:
    """The HEALPix pixel that contains a window with its clearance, or None if it spans several."""
    clearance = clearance_px(survey)
    edge = np.linspace(-clearance, side + clearance, 9)
    low, high = np.full(9, edge[0]), np.full(9, edge[-1])
    x, y = np.concatenate([edge, edge, low, high]), np.concatenate([low, high, edge, edge])
    ra, dec = window_wcs(brick, 0, 0, survey).all_pix2world(x + x0, y + y0, 0)
    pixels = split.healpix(np.asarray(ra) % 360, np.asarray(dec))
    return int(pixels[0]) if (pixels == pixels[0]).all() else None


def _with_conditions(rng: np.random.Generator, pointings: list[Pointing]) -> list[Pointing]:
    """Set exposures (bins in proportion in each split), psfsize, sky, gain and reddening."""
    done: dict[int, Pointing] = {}
    survey = pointings[0].survey
    bands = len(survey.bands)
    medians = np.array([survey.imaging[band].psf_fwhm_arcsec for band in survey.bands])
    skies = np.array([survey.imaging[band].sky_nanomaggy for band in survey.bands])
    gains = np.array([survey.imaging[band].electrons_per_nanomaggy for band in survey.bands])
    for name in split.SPLITS:
        those = [p for p in pointings if p.split == name]
        bins = np.repeat(np.arange(len(NOBS)), _deal(len(those), [share for _, share, _ in NOBS]))
        for p, which in zip(those, rng.permutation(bins), strict=True):
            deep = int(rng.choice(NOBS[which][2]))
            nobs = [
                deep if band == survey.depth_band else max(1, deep + int(rng.integers(-1, 2))) for band in survey.bands
            ]
            psfsize = medians * np.exp(rng.normal(0, 0.09) + rng.normal(0, 0.06, bands))
            sky = skies * np.exp(rng.normal(0, SKY_SCATTER, bands))
            gain = gains * np.exp(rng.normal(0, GAIN_SCATTER, bands))
            done[p.index] = replace(
                p,
                nobs=tuple(nobs),
                psfsize=tuple(map(float, np.clip(psfsize, *psfsize_limits(survey)))),
                sky=tuple(map(float, sky)),
                gain=tuple(map(float, gain)),
                ebv=float(rng.uniform(0.01, 0.09)),
            )
    return [done[p.index] for p in pointings]


def _with_numbers(rng: np.random.Generator, pointings: list[Pointing], size: Size) -> list[Pointing]:
    """Spread galaxies evenly; divide lenses of both tiers among the splits in proportion, evenly within each."""
    order = rng.permutation(len(pointings))
    galaxies = np.full(len(pointings), size.galaxies // len(pointings))
    galaxies[order[: size.galaxies % len(pointings)]] += 1
    shares = list(pointings[0].survey.split_fractions.values())
    lenses = np.zeros(len(pointings), np.int64)
    confident = np.zeros(len(pointings), np.int64)
    in_split, sure_in_split = (_deal(n, shares) for n in (size.lenses, round(CONFIDENT_SHARE * size.lenses)))
    for name, total, sure in zip(split.SPLITS, in_split, sure_in_split, strict=True):
        those = rng.permutation([p.index for p in pointings if p.split == name])
        lenses[those] = _evenly(total, len(those))
        confident[those[::-1]] = _evenly(sure, len(those))
    confident = np.minimum(confident, lenses)
    return [
        replace(
            p,
            galaxies=int(galaxies[p.index]),
            confident=int(confident[p.index]),
            probable=int(lenses[p.index] - confident[p.index]),
        )
        for p in pointings
    ]


def _with_dirt(rng: np.random.Generator, pointings: list[Pointing]) -> list[Pointing]:
    """Assign data flaws: at least one of each kind, then in proportion to the size of the sky."""
    train = [p.index for p in pointings if p.split == "train"]
    count, bands = len(pointings), pointings[0].survey.bands
    missing = set(rng.permutation(train)[: max(1, round(0.008 * count))].tolist())
    rest = np.array([p.index for p in pointings if p.index not in missing])
    unexposed = set(rng.permutation(rest)[: max(1, round(0.03 * count))].tolist())
    galaxies = sum(p.galaxies for p in pointings)
    centres = rng.choice(rest, max(1, round(0.0007 * galaxies)))
    edges = rng.choice(rest, max(1, round(0.0004 * galaxies)))
    bright = set(rng.permutation(count)[: max(1, round(0.35 * count))].tolist())
    return [
        replace(
            p,
            dirt=Dirt(
                missing_band=bands[int(rng.integers(len(bands)))] if p.index in missing else "",
                unexposed_band=bands[int(rng.integers(len(bands)))] if p.index in unexposed else "",
                nan_centres=int((centres == p.index).sum()),
                nan_edges=int((edges == p.index).sum()),
                bright_star=p.index in bright,
            ),
        )
        for p in pointings
    ]


def _with_host_types(rng: np.random.Generator, pointings: list[Pointing]) -> list[Pointing]:
    """Set the types of lens galaxies, in the same proportions in each bin of exposures: no stratum lacks negatives."""
    depth = pointings[0].survey.bands.index(pointings[0].survey.depth_band)
    bins = nobs_bin([p.nobs[depth] for p in pointings])
    types: dict[int, tuple[str, ...]] = {}
    for name in NOBS_BINS:
        those = [p for p, bin_ in zip(pointings, bins, strict=True) if bin_ == name]
        numbers = [p.confident + p.probable for p in those]
        dealt = np.repeat(list(population.HOST_TYPES), _deal(sum(numbers), list(population.HOST_TYPES.values())))
        kinds = iter(rng.permutation(dealt).tolist())
        types |= {p.index: tuple(itertools.islice(kinds, n)) for p, n in zip(those, numbers, strict=True)}
    return [replace(p, host_types=types[p.index]) for p in pointings]


def _evenly(total: int, count: int) -> NDArray[np.int64]:
    """A total divided into `count` integers that differ by at most 1, larger first."""
    return np.asarray(total // count + (np.arange(count) < total % count), np.int64)


def _deal(total: int, shares: Sequence[float]) -> list[int]:
    """Integers in proportion to shares, by largest remainder."""
    exact = np.asarray(shares) / sum(shares) * total
    whole = np.floor(exact + 1e-9).astype(int)
    for i in np.argsort(-(exact - whole), kind="stable")[: total - int(whole.sum())]:
        whole[i] += 1
    return [int(v) for v in whole]
