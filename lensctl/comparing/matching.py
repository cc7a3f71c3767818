"""Matching negatives to positives, and sampling the rows to measure."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules import sampling_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


MOST_USES, CANDIDATES = 5, 4
"""Positives that a negative may serve; nearest negatives looked at for each one wanted."""


@dataclass(frozen=True)
class Tolerance:
    """Maximum difference between a positive and a matched negative in each quantity."""

    mag: float
    colour_1: float
    colour_2: float
    psfsize_arcsec: float
    nobs_ratio: float


def coordinates(
    tolerance: Tolerance, flux: Floats, colour_1: Floats, colour_2: Floats, psfsize: Floats, nobs: Floats
) -> Floats:
    """Matching quantities, each in units of its tolerance: (N,) each to (N, 5); NaN where unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mag = -2.5 * np.log10(np.where(flux > 0, flux, np.nan))
        log_nobs = np.log(np.where(nobs > 0, nobs, np.nan))
    return np.stack(
        [
            mag / tolerance.mag,
            colour_1 / tolerance.colour_1,
            colour_2 / tolerance.colour_2,
            psfsize / tolerance.psfsize_arcsec,
            log_nobs / np.log(tolerance.nobs_ratio),
        ],
        axis=1,
    )


def match(
    place: Floats, kind: NDArray[np.str_], positives: Ints, negatives: Ints, partners: int, most_uses: int = MOST_USES
) -> tuple[Ints, Ints]:
    """The nearest negatives of each positive, of the same type and within all tolerances, none used too often.

    Nearest neighbours are dealt first, then second ones, and so on; where a negative is wanted by more positives than
    it may serve, the nearest have it, and the others their next.

    Parameters
    ----------
    place : (N, 5) float64
        `coordinates` of all rows.
    kind : (N,) text
        Type of galaxy.
    positives, negatives : (P,), (M,) int
        Rows of each class.
    partners : int
        Maximum number of negatives per positive.
    most_uses : int
        Maximum number of positives per negative.

    Returns
    -------
    positive, negative : (K,) int
        Rows of each pair, by positive and then by distance, the largest of the differences.
    """
    from scipy.spatial import cKDTree

    known = np.asarray(np.isfinite(place).all(axis=1))
    pairs: list[tuple[Ints, Ints]] = []
    for name in np.unique(kind[positives]):
        lenses = positives[known[positives] & (kind[positives] == name)]
        others = negatives[known[negatives] & (kind[negatives] == name)]
        if not len(lenses) or not len(others):
            continue
        candidates = np.arange(1, min(CANDIDATES * partners, len(others)) + 1)
        distance, found = cKDTree(place[others]).query(place[lenses], k=candidates, p=np.inf, distance_upper_bound=1.0)
        row, rank = np.nonzero(np.isfinite(distance))
        order = np.lexsort((lenses[row], distance[row, rank], rank))
        kept = _dealt(row[order], found[row, rank][order], partners, most_uses)
        row, rank = row[order][kept], rank[order][kept]
        pairs.append((lenses[row], others[found[row, rank]]))
    if not pairs:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    positive, negative = (np.concatenate(side) for side in zip(*pairs, strict=True))
    order = np.argsort(positive, kind="stable")
    return positive[order], negative[order]


def _dealt(row: Ints, column: Ints, partners: int, most_uses: int) -> Ints:
    """Which candidate pairs are taken, in their order: each row at most `partners` times, each column `most_uses`."""
    taken: list[int] = []
    of_row, of_column = Counter[int](), Counter[int]()
    for i, (r, c) in enumerate(zip(row.tolist(), column.tolist(), strict=True)):
        if of_row[r] < partners and of_column[c] < most_uses:
            of_row[r] += 1
            of_column[c] += 1
            taken.append(i)
    return np.array(taken, np.int64)


@dataclass(frozen=True)
class Balance:
    """How alike matched classes are: standardised mean difference of each quantity, and how often negatives serve."""

    differences: tuple[float, ...]
    most_uses: int
    unmatched: Counter[str]


def balance(place: Floats, kind: NDArray[np.str_], positives: Ints, positive: Ints, negative: Ints) -> Balance:
    """Balance of pairs: difference of the means over the scatter of the positives, each positive of weight one.

    Parameters
    ----------
    place : (N, 5) float64
        `coordinates` of all rows.
    positives : (P,) int
        All that were to be matched.
    positive, negative : (K,) int
        Rows of each pair.
    """
    matched = np.unique(positive)
    unmatched = Counter(kind[np.setdiff1d(positives, matched)].tolist())
    if not len(positive):
        return Balance((math.nan,) * place.shape[1], 0, unmatched)
    _, first, partners = np.unique(positive, return_inverse=True, return_counts=True)
    weight = 1.0 / (partners[first] * len(matched))
    off = (weight[:, None] * (place[positive] - place[negative])).sum(axis=0)
    scatter = place[matched].std(axis=0)
    differences = np.divide(off, scatter, out=np.zeros(place.shape[1]), where=scatter > 0)
    return Balance(tuple(map(float, differences)), max(Counter(negative.tolist()).values()), unmatched)


def drawn(ids: NDArray[np.str_], stratum: Ints, rows: Ints, wanted: Mapping[int, int], seed: int) -> Ints:
    """`wanted` rows of each stratum, drawn among those that `sample` has chosen; sorted."""
    taken: list[Ints] = []
    for value in np.unique(stratum[rows]):
        members = rows[stratum[rows] == value]
        first = heapq.nsmallest(
            wanted.get(int(value), 0),
            members.tolist(),
            key=lambda row: (sampling_rule.draw_key("shortcut", str(ids[row]), seed), ids[row]),
        )
        taken.append(np.array(first, np.int64))
    return np.sort(np.concatenate(taken)) if taken else np.zeros(0, np.int64)


def sample(
    ids: NDArray[np.str_], stratum: Ints, positives: Ints, negatives: Ints, *, most: int, partners: int, seed: int
) -> tuple[Ints, Ints]:
    """At most `most` positives, in proportion to their strata, with `partners` negatives per positive and stratum."""
    counts: dict[tuple[str, ...], int] = {}
    for value, count in Counter(stratum[positives].tolist()).items():
        counts[(str(value),)] = count
    wanted = {int(key[0]): n for key, n in sampling_rule.targets(counts, per_positive=1, cap=most).items()}
    lenses = drawn(ids, stratum, positives, wanted, seed)
    return lenses, drawn(ids, stratum, negatives, {value: partners * n for value, n in wanted.items()}, seed)
