"""Where objects of a window lie: at random, but early-type galaxies in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.sky.pointings import margin_px

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.sky.pointings import Pointing

SEPARATION_ARCSEC = 2.358
"""Minimum distance between catalogued objects; closer ones would be blended."""

GROUP_ARCSEC = 15.0
"""Greatest distance of a group's galaxies from its brightest; any distance down to SEPARATION_ARCSEC is as likely."""

COMPANIONS = 0.65
"""Neighbours within GROUP_ARCSEC that early types have more than other galaxies, on average."""

_TRIES = 60


def inside(pointing: Pointing, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether objects at window pixels may be catalogued: half a cutout from the edge, and within the brick."""
    margin = margin_px(pointing.survey)
    low, high = margin, pointing.size - 1 - margin
    on_window = (x >= low) & (x <= high) & (y >= low) & (y <= high)
    ra, dec = pointing.wcs().all_pix2world(x, y, 0)
    ra = np.asarray(ra) % 360
    brick = pointing.brick
    owned = (ra >= brick.ra1) & (ra < brick.ra2) & (dec >= brick.dec1) & (dec < brick.dec2)
    return np.asarray(on_window & owned)


def places(
    rng: np.random.Generator, pointing: Pointing, count: int, central: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions of objects in window pixels, at least SEPARATION_ARCSEC apart if there is room.

    Parameters
    ----------
    count : int
        Objects; the first are the galaxies.
    central : (G,) int64
        Of each galaxy the row of the one in whose group it lies, or -1.

    Returns
    -------
    x, y : (count,) float64
    """
    margin, scale = margin_px(pointing.survey), pointing.survey.pixel_scale_arcsec
    low, high = margin + 1, pointing.size - 2 - margin
    nearest, farthest = SEPARATION_ARCSEC / scale, GROUP_ARCSEC / scale
    central = np.pad(central, (0, count - len(central)), constant_values=-1)
    field, members = np.flatnonzero(central < 0), np.flatnonzero(central >= 0)

    def anywhere(which: NDArray[np.int64]) -> NDArray[np.float64]:
        return rng.uniform(low, high, (len(which), 2))

    def in_group(which: NDArray[np.int64]) -> NDArray[np.float64]:
        distance, angle = rng.uniform(nearest, farthest, len(which)), rng.uniform(0, 2 * np.pi, len(which))
        away = distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return np.asarray(place[central[which]] + away)

    place = np.full((count, 2), np.inf)
    for those, draw in ((field, anywhere), (members, in_group)):
        redraw = those
        for _ in range(_TRIES):
            place[redraw] = draw(redraw)
            redraw = _misplaced(pointing, place, those, nearest)
            if not len(redraw):
                break
    return place[:, 0], place[:, 1]


def _misplaced(
    pointing: Pointing, place: NDArray[np.float64], those: NDArray[np.int64], nearest_px: float
) -> NDArray[np.int64]:
    """Which of some objects lie outside, or too near another one that is placed; of a pair the later one."""
    from scipy.spatial import cKDTree

    placed = np.flatnonzero(np.isfinite(place[:, 0]))
    pairs = placed[cKDTree(place[placed]).query_pairs(nearest_px, output_type="ndarray")]
    wrong = np.zeros(len(place), bool)
    movable = np.isin(np.arange(len(place)), those)
    for early, late in pairs.reshape(-1, 2):
        wrong[late if movable[late] else early] = True
    wrong[those[~inside(pointing, *place[those].T)]] = True
    return np.flatnonzero(wrong)
