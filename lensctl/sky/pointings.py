"""Pointings of the mock survey: windows of real bricks, split 70/15/15, with seeing, depth and data flaws."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules import split
from lensctl.rules.bins import NOBS_Z_BINS, nobs_z_bin
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.sky import population
from lensctl.sky.bricks import SIDE_PX, Brick, brick_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from astropy.wcs import WCS
    from numpy.typing import NDArray

MARGIN_PX = 52
"""Minimum distance of catalogued objects from the edge of their window, so that a 101 px cutout fits."""

GALAXIES_PER_SQ_DEG = 54_000
GALAXIES_PER_POINTING = 100
POINTINGS_STEP = 20
"""Windows come in multiples of 20: 14 train, 3 val, 3 test."""

CONFIDENT_SHARE = 0.4
NOBS_Z = (("1-2", 0.06, (1, 2)), ("3-5", 0.65, (3, 4, 5)), ("6-10", 0.235, (6, 7, 8, 9, 10)), ("11+", 0.055, (11, 12)))
"""nobs_z bins: name, fraction of the pointings, numbers of exposures."""

SEEING_MEDIAN_ARCSEC = (1.38, 1.26, 1.20)
SEEING_RANGE_ARCSEC = (1.0, 1.8)
NOISE_ONE_EXPOSURE = (0.0060, 0.0078, 0.0205)
"""Sky noise of one exposure in g, r, z, nanomaggies per pixel."""

_TILE_RA = (*range(0, 45, 5), *range(125, 250, 5), *range(315, 360, 5))
_TILE_DEC = range(-15, 30, 5)
_TILE_DEG = 5
_POINTINGS_PER_TILE = 12
_BRICK_EDGE_PX = 130  # windows avoid the rim where neighbouring bricks overlap
_CLEARANCE_PX = 110  # from a window to the border of its HEALPix pixel: more than half a cutout
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
    """One window: `x0`, `y0` is its first pixel in the brick's 3600 x 3600 grid, `size` its side in pixels.

    `host_types` are the types of its lens galaxies, confident lenses first.
    """

    index: int
    brick: Brick
    x0: int
    y0: int
    size: int
    healpix: int
    split: str
    galaxies: int = 0
    confident: int = 0
    probable: int = 0
    host_types: tuple[str, ...] = ()
    nobs: tuple[int, int, int] = (4, 4, 4)
    seeing: tuple[float, float, float] = SEEING_MEDIAN_ARCSEC
    noise: tuple[float, float, float] = NOISE_ONE_EXPOSURE
    ebv: float = 0.03
    dirt: Dirt = Dirt()

    def wcs(self) -> WCS:
        """The window's WCS: the brick's tangent plane with a shifted reference pixel."""
        return window_wcs(self.brick, self.x0, self.y0)


@dataclass(frozen=True)
class Size:
    """Requested size of a sky; None means chosen automatically."""

    galaxies: int
    lenses: int
    window_px: int | None = None
    full_bricks: bool = False


def window_wcs(brick: Brick, x0: int, y0: int) -> WCS:
    """TAN projection of a window of a brick: CRVAL at the brick's centre, 0.262 arcsec pixels, east to the left."""
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [brick.ra, brick.dec]
    wcs.wcs.crpix = [(SIDE_PX + 1) / 2 - x0, (SIDE_PX + 1) / 2 - y0]
    wcs.wcs.cd = np.diag([-1.0, 1.0]) * LS_DR10.pixel_scale_arcsec / 3600
    return wcs


def generator(seed: int, *place: int) -> np.random.Generator:
    """Random generator of one place, which depends only on the seed and the place."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=place)))


def plan(seed: int, size: Size) -> list[Pointing]:
    """Choose the windows and their contents.

    Raises
    ------
    InputError
        More lenses than a third of the galaxies, or a window too large for a HEALPix pixel.
    """
    if size.lenses > size.galaxies / 3:
        raise InputError(
            f"{size.lenses} lenses are too many for {size.galaxies} galaxies", "use at most a third with --lenses"
        )
    count, side = _count_and_side(size)
    if side < 2 * MARGIN_PX + 50 or side > SIDE_PX:
        raise InputError(f"windows cannot have {side} px", f"use --window-px between 300 and {SIDE_PX}")
    rng = generator(seed)
    quota = dict(zip(split.SPLITS, _deal(count, list(LS_DR10.split_fractions.values())), strict=True))
    placed = list(_places(rng, quota, side))
    pointings = [replace(p, index=i) for i, p in enumerate(sorted(placed, key=lambda p: p.brick.id))]
    pointings = _with_conditions(rng, pointings)
    pointings = _with_numbers(rng, pointings, size)
    return _with_dirt(rng, _with_host_types(rng, pointings))


def _count_and_side(size: Size) -> tuple[int, int]:
    per_px = GALAXIES_PER_SQ_DEG * (LS_DR10.pixel_scale_arcsec / 3600) ** 2
    if size.full_bricks:
        return max(7, -(-size.galaxies // int(per_px * 3435**2))), SIDE_PX
    if size.window_px is not None:
        each = max(1.0, per_px * max(size.window_px - 2 * MARGIN_PX, 1) ** 2)
        return POINTINGS_STEP * max(1, round(size.galaxies / each / POINTINGS_STEP)), size.window_px
    count = POINTINGS_STEP * max(1, round(size.galaxies / GALAXIES_PER_POINTING / POINTINGS_STEP))
    side = np.sqrt(size.galaxies / count / per_px) + 2 * MARGIN_PX
    return count, min(SIDE_PX, max(300, int(np.ceil(side / 50)) * 50))


def _places(rng: np.random.Generator, quota: dict[str, int], side: int) -> Iterator[Pointing]:
    """Windows in distinct bricks and HEALPix pixels, each entirely within one, until every split has its number."""
    remaining = dict(quota)
    total = sum(quota.values())
    tiles = rng.permutation(len(_TILE_RA) * len(_TILE_DEC))
    tiles = tiles[: max(2, -(-total // (1 if side > SIDE_PX // 2 else _POINTINGS_PER_TILE)))]
    taken: set[int | str] = set()
    for attempt in range(_TRIES):
        if not any(remaining.values()):
            return
        tile = int(tiles[attempt % len(tiles)])
        ra0, dec0 = _TILE_RA[tile // len(_TILE_DEC)], _TILE_DEC[tile % len(_TILE_DEC)]
        brick = brick_at(ra0 + rng.uniform(0.3, _TILE_DEG - 0.3), dec0 + rng.uniform(0.3, _TILE_DEG - 0.3))
        least = min(_BRICK_EDGE_PX, (SIDE_PX - side) // 2)
        x0, y0 = (int(v) for v in rng.integers(least, SIDE_PX - side - least + 1, 2))
        pixel = _only_healpix(brick, x0, y0, side)
        if pixel is None or not taken.isdisjoint((pixel, brick.name)):
            continue
        name = split.split_of(pixel)
        if remaining[name] == 0:
            continue
        remaining[name] -= 1
        taken |= {pixel, brick.name}
        yield Pointing(0, brick, x0, y0, side, pixel, name)
    raise InputError(f"no room for {total} windows of {side} px", "use fewer galaxies or smaller windows")


def _only_healpix(brick: Brick, x0: int, y0: int, side: int) -> int | None:
    """The HEALPix pixel that contains a window with its clearance, or None if it spans several."""
    edge = np.linspace(-_CLEARANCE_PX, side + _CLEARANCE_PX, 9)
    low, high = np.full(9, edge[0]), np.full(9, edge[-1])
    x, y = np.concatenate([edge, edge, low, high]), np.concatenate([low, high, edge, edge])
    ra, dec = plane_to_sky(x + x0, y + y0, brick)
    pixels = split.healpix(ra, dec)
    return int(pixels[0]) if (pixels == pixels[0]).all() else None


def plane_to_sky(
    x: NDArray[np.float64], y: NDArray[np.float64], brick: Brick
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension and declination (degrees) of 0-based pixels of a brick's full grid."""
    ra, dec = window_wcs(brick, 0, 0).all_pix2world(x, y, 0)
    return np.asarray(ra) % 360, np.asarray(dec)


def _with_conditions(rng: np.random.Generator, pointings: list[Pointing]) -> list[Pointing]:
    """Set exposures (bins in proportion in each split), seeing, noise and reddening."""
    done: dict[int, Pointing] = {}
    for name in split.SPLITS:
        those = [p for p in pointings if p.split == name]
        bins = np.repeat(np.arange(len(NOBS_Z)), _deal(len(those), [share for _, share, _ in NOBS_Z]))
        for p, which in zip(those, rng.permutation(bins), strict=True):
            nobs_z = int(rng.choice(NOBS_Z[which][2]))
            nobs = (max(1, nobs_z + int(rng.integers(-1, 2))), max(1, nobs_z + int(rng.integers(-1, 2))), nobs_z)
            common = rng.normal(0, 0.09)
            seeing = np.array(SEEING_MEDIAN_ARCSEC) * np.exp(common + rng.normal(0, 0.06, 3))
            noise = np.array(NOISE_ONE_EXPOSURE) * np.exp(rng.normal(0, 0.08, 3))
            done[p.index] = replace(
                p,
                nobs=nobs,
                seeing=_per_band(np.clip(seeing, *SEEING_RANGE_ARCSEC)),
                noise=_per_band(noise),
                ebv=float(rng.uniform(0.01, 0.09)),
            )
    return [done[p.index] for p in pointings]


def _per_band(values: NDArray[np.float64]) -> tuple[float, float, float]:
    g, r, z = (float(value) for value in values)
    return g, r, z


def _with_numbers(rng: np.random.Generator, pointings: list[Pointing], size: Size) -> list[Pointing]:
    """Spread galaxies evenly; divide lenses of both tiers 70/15/15 by split, evenly within each."""
    order = rng.permutation(len(pointings))
    galaxies = np.full(len(pointings), size.galaxies // len(pointings))
    galaxies[order[: size.galaxies % len(pointings)]] += 1
    shares = list(LS_DR10.split_fractions.values())
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
    count = len(pointings)
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
                missing_band=LS_DR10.bands[int(rng.integers(3))] if p.index in missing else "",
                unexposed_band=LS_DR10.bands[int(rng.integers(3))] if p.index in unexposed else "",
                nan_centres=int((centres == p.index).sum()),
                nan_edges=int((edges == p.index).sum()),
                bright_star=p.index in bright,
            ),
        )
        for p in pointings
    ]


def _with_host_types(rng: np.random.Generator, pointings: list[Pointing]) -> list[Pointing]:
    """Set the types of lens galaxies, in the same proportions in each nobs_z bin so that no stratum lacks negatives."""
    bins = nobs_z_bin([p.nobs[2] for p in pointings])
    types: dict[int, tuple[str, ...]] = {}
    for name in NOBS_Z_BINS:
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
