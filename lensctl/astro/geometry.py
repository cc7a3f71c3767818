"""Positions on the sphere: separations, neighbours, groups, and overlapping cutouts.

Computed with unit vectors, so right ascension wraps and the poles need no special treatment. Positions are degrees
(ICRS), separations and radii arcsec. Indices are int64 and sorted, so results are reproducible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.spatial import cKDTree

    Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]

ARCSEC = 3600.0  # per degree
CELLS_PER_DEGREE = 20
WIDEST_ARCSEC = 3600.0
"""Largest radius that is searched."""


def refuse_wide(name: str, radius_arcsec: float) -> None:
    """Raise InputError for a radius that is not from 0 to one degree."""
    if not 0 <= radius_arcsec <= WIDEST_ARCSEC:
        raise InputError(f"{name} is {radius_arcsec:g} arcsec", f"give it from 0 to {WIDEST_ARCSEC:g}")


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    """Unit vectors of positions.

    Parameters
    ----------
    ra_deg, dec_deg : (N,) float64
        Finite; any right ascension (it wraps), declination in [-90, 90].

    Returns
    -------
    (N, 3) float64
        x towards (0, 0), y towards (90, 0), z towards the north pole.

    Raises
    ------
    InputError
        A position that is not finite, or a declination beyond a pole.
    """
    ra, dec = np.atleast_1d(np.asarray(ra_deg, float)), np.atleast_1d(np.asarray(dec_deg, float))
    bad = np.flatnonzero(~(np.isfinite(ra) & (np.abs(dec) <= 90.0)))
    if bad.size:
        row = int(bad[0])
        raise InputError(
            f"row {row} is not a position: ra {ra.flat[row]}, dec {dec.flat[row]} ({bad.size} such rows)",
            "drop or repair these rows",
        )
    alpha, delta = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)], axis=-1)  # (N, 3)


def nearest(
    ra: ArrayLike, dec: ArrayLike, ra_ref: ArrayLike, dec_ref: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nearest reference position of each position.

    Parameters
    ----------
    ra, dec : (N,) float64
    ra_ref, dec_ref : (M,) float64

    Returns
    -------
    index : (N,) int64
        Index into the reference; -1 if the reference is empty.
    sep_arcsec : (N,) float64
        Infinite if the reference is empty.
    """
    here, reference = unit_vectors(ra, dec), unit_vectors(ra_ref, dec_ref)
    if not len(reference) or not len(here):
        return np.full(len(here), -1, np.int64), np.full(len(here), np.inf)
    _, index = _tree(reference).query(here)
    index = np.asarray(index, np.int64)
    return index, _angle(here, reference[index])


def separation(ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike) -> NDArray[np.float64]:
    """Distance of each position from its counterpart: (N,) arcsec."""
    return _angle(unit_vectors(ra1, dec1), unit_vectors(ra2, dec2))


class Neighbourhood:
    """The sky within a radius of some positions, built once and queried for many others.

    A grid of cells quickly rejects almost all positions; for the rest the nearest neighbour is searched.

    Parameters
    ----------
    ra, dec : (M,) float64
    radius_arcsec : float
    """

    def __init__(self, ra: ArrayLike, dec: ArrayLike, radius_arcsec: float) -> None:
        self._reference = unit_vectors(ra, dec)
        self._tree: cKDTree | None = None
        self._radius = radius_arcsec
        self._cells = _cells_within(np.asarray(ra, float), np.asarray(dec, float), radius_arcsec)

    def may_hold(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each position lies in a cell that the neighbourhood touches: (N,) bool, no false negatives."""
        row, column = _cell(ra, dec)
        return np.asarray(self._cells[row, column])

    def holds(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each position lies within the radius: (N,) bool."""
        inside = self.may_hold(ra, dec)
        candidates = np.flatnonzero(inside)
        if len(candidates):
            here = unit_vectors(ra[candidates], dec[candidates])
            self._tree = self._tree or _tree(self._reference)
            _, index = self._tree.query(here)
            inside[candidates] = _angle(here, self._reference[index]) <= self._radius
        return inside


def _cell(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of each position's cell."""
    row = np.clip(np.floor((dec + 90.0) * CELLS_PER_DEGREE), 0, 180 * CELLS_PER_DEGREE - 1)
    column = np.floor(ra * CELLS_PER_DEGREE) % (360 * CELLS_PER_DEGREE)
    return row.astype(np.int64), column.astype(np.int64)


def _cells_within(ra: NDArray[np.float64], dec: NDArray[np.float64], radius_arcsec: float) -> NDArray[np.bool_]:
    """At least every cell touched by a circle around any position: (rows, columns) bool."""
    rows, columns = 180 * CELLS_PER_DEGREE, 360 * CELLS_PER_DEGREE
    cells = np.zeros((rows, columns), bool)
    reach = radius_arcsec / ARCSEC * (1 + 1e-9) + 1e-9  # degrees
    far = np.minimum(np.abs(dec) + reach, 90.0)  # declination where the circle is widest in right ascension
    with np.errstate(divide="ignore"):
        wide = np.where(far < 89.9, reach / np.cos(np.radians(far)) * (1 + 1e-6), 180.0)
    for step in range(-1, 2):  # lower edge, middle and upper edge; further rows below if larger than a cell
        _mark(cells, ra, np.clip(dec + step * reach, -90, 90), wide)
    for degrees in np.arange(1, 2 * reach * CELLS_PER_DEGREE) / CELLS_PER_DEGREE:
        _mark(cells, ra, np.clip(dec - reach + degrees, -90, 90), wide)
    return cells


def _mark(
    cells: NDArray[np.bool_], ra: NDArray[np.float64], dec: NDArray[np.float64], wide: NDArray[np.float64]
) -> None:
    """Set the cells at a declination within `wide` degrees of each right ascension."""
    row, _ = _cell(ra, dec)
    first = np.floor((ra - wide) * CELLS_PER_DEGREE).astype(np.int64)
    count = np.minimum(np.floor((ra + wide) * CELLS_PER_DEGREE).astype(np.int64) - first + 1, cells.shape[1])
    begin = np.repeat(np.cumsum(count) - count, count)
    column = np.repeat(first, count) + np.arange(count.sum()) - begin
    cells[np.repeat(row, count), column % cells.shape[1]] = True


def pairs_within(ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike, radius_arcsec: float) -> Pairs:
    """All pairs (i of the first set, j of the second) at most `radius_arcsec` apart, sorted by (i, j)."""
    first, second = unit_vectors(ra1, dec1), unit_vectors(ra2, dec2)
    if not len(first) or not len(second):
        return _no_pairs()
    found = _tree(first).sparse_distance_matrix(_tree(second), _chord(radius_arcsec), output_type="ndarray")
    i, j = found["i"].astype(np.int64), found["j"].astype(np.int64)
    return _in_order(i, j, _angle(first[i], second[j]), radius_arcsec)


def pairs_among(ra: ArrayLike, dec: ArrayLike, radius_arcsec: float) -> Pairs:
    """All pairs i < j of one set at most `radius_arcsec` apart, sorted by (i, j)."""
    here = unit_vectors(ra, dec)
    if len(here) < 2:
        return _no_pairs()
    found = _tree(here).query_pairs(_chord(radius_arcsec), output_type="ndarray").astype(np.int64)
    i, j = found.min(axis=1), found.max(axis=1)
    return _in_order(i, j, _angle(here[i], here[j]), radius_arcsec)


def groups_within(ra: ArrayLike, dec: ArrayLike, radius_arcsec: float) -> NDArray[np.int64]:
    """Friends-of-friends groups: (N,) labels, numbered in order of first appearance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(unit_vectors(ra, dec))
    i, j, _ = pairs_among(ra, dec, radius_arcsec)
    links = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n))
    raw = connected_components(links, directed=False)[1] if n else np.zeros(0, np.int64)
    _, first, inverse = np.unique(raw, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def boxes_overlap(
    ra1: ArrayLike,
    dec1: ArrayLike,
    ra2: ArrayLike,
    dec2: ArrayLike,
    size_arcsec: ArrayLike,
    size2_arcsec: ArrayLike | None = None,
) -> NDArray[np.bool_]:
    """Whether two square cutouts overlap on the sky, elementwise (inputs broadcast).

    Each cutout is a square of side `size_arcsec`, the second of `size2_arcsec` if given, aligned with east and north at
    its centre. Away from the poles the condition is |dRA cos dec| < the mean of the sides, and |dDec| likewise; near
    them, where the squares are rotated relative to each other, it is the separating axis theorem.
    """
    own = np.asarray(size_arcsec, float)[..., None]
    other = own if size2_arcsec is None else np.asarray(size2_arcsec, float)[..., None]
    centre1, centre2 = np.broadcast_arrays(unit_vectors(ra1, dec1), unit_vectors(ra2, dec2))
    axes1, axes2 = _east_north(ra1, dec1), _east_north(ra2, dec2)
    axes1, axes2 = np.broadcast_arrays(axes1, axes2)  # (N, 2, 3)
    offset = np.degrees(centre2 - centre1) * ARCSEC  # (N, 3), arcsec: chord, equal to the arc at these sizes
    reach = 0.5 * (own + other * np.abs(axes1 @ axes2.swapaxes(1, 2)).sum(axis=2))  # (N, 2)
    near1 = np.abs(np.einsum("nak,nk->na", axes1, offset)) < reach
    reach = 0.5 * (other + own * np.abs(axes2 @ axes1.swapaxes(1, 2)).sum(axis=2))
    near2 = np.abs(np.einsum("nak,nk->na", axes2, offset)) < reach
    same_side = np.einsum("nk,nk->n", centre1, centre2) > 0
    return np.asarray(near1.all(axis=1) & near2.all(axis=1) & same_side)


def points_around(
    ra: ArrayLike, dec: ArrayLike, east_arcsec: ArrayLike, north_arcsec: ArrayLike
) -> NDArray[np.float64]:
    """Directions to points offset (M,) to the east and north of each position (N,): (N, M, 3) unit vectors."""
    offsets = np.radians(np.stack([np.asarray(east_arcsec, float), np.asarray(north_arcsec, float)], axis=-1) / ARCSEC)
    points = unit_vectors(ra, dec)[:, None, :] + offsets @ _east_north(ra, dec)  # (M, 2) @ (N, 2, 3)
    return np.asarray(points / np.linalg.norm(points, axis=-1, keepdims=True))


def overlapping_pairs(
    ra: ArrayLike, dec: ArrayLike, size_arcsec: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs i < j of one set whose cutouts overlap, sorted by (i, j); `size_arcsec` is one side, or (N,) sides."""
    ra, dec = np.atleast_1d(np.asarray(ra, float)), np.atleast_1d(np.asarray(dec, float))
    size = np.broadcast_to(np.asarray(size_arcsec, float), ra.shape)
    i, j, _ = pairs_among(ra, dec, np.sqrt(2.0) * float(size.max(initial=0.0)) * 1.01)
    shared = boxes_overlap(ra[i], dec[i], ra[j], dec[j], size[i], size[j])
    return i[shared], j[shared]


def _east_north(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    alpha, delta = np.broadcast_arrays(
        np.radians(np.atleast_1d(np.asarray(ra_deg, float))), np.radians(np.atleast_1d(np.asarray(dec_deg, float)))
    )
    east = np.stack([-np.sin(alpha), np.cos(alpha), np.zeros_like(alpha)], axis=-1)
    north = np.stack([-np.sin(delta) * np.cos(alpha), -np.sin(delta) * np.sin(alpha), np.cos(delta)], axis=-1)
    return np.stack([east, north], axis=1)  # (N, 2, 3)


def _angle(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    sine = np.linalg.norm(np.cross(first, second), axis=-1)
    cosine = (first * second).sum(axis=-1)
    return np.asarray(np.degrees(np.arctan2(sine, cosine)) * ARCSEC)


def _chord(radius_arcsec: float) -> float:
    """Chord length of an angle, rounded up slightly; the exact angle is tested afterwards."""
    return float(2.0 * np.sin(min(np.radians(radius_arcsec / ARCSEC), np.pi) / 2.0) * (1 + 1e-9) + 1e-15)


def _tree(vectors: NDArray[np.float64]) -> cKDTree:
    from scipy.spatial import cKDTree

    return cKDTree(vectors)


def _in_order(i: NDArray[np.int64], j: NDArray[np.int64], sep: NDArray[np.float64], radius_arcsec: float) -> Pairs:
    close = sep <= radius_arcsec
    i, j, sep = i[close], j[close], sep[close]
    order = np.lexsort((j, i))
    return i[order], j[order], sep[order]


def _no_pairs() -> Pairs:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float64)
