"""How sure a figure is: Wilson's interval for shares, DeLong's for AUC, and the bootstrap over patches of sky."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
FEW = 10
"""A figure that rests on fewer events than this is marked."""

ROUNDS = 2_000
BLOCK_ROUNDS = 64
LANES = 4
"""Rounds that share one hash of 64 bits: each takes 16, finer than 2,000 rounds can tell from a true Poisson."""

LEAST_DEFINED = 0.95
"""Share of the bootstrap rounds in which a figure must have a meaning, or it has no interval."""


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval, how many rows it was measured on and how many events it rests on.

    Events are what was counted: lenses found for a recall, false positives for a rate, the smaller class for an AUC.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    events: int = 0

    @property
    def few(self) -> bool:
        """Whether fewer than ten events make the figure."""
        return self.events < FEW

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "few": self.few}


def wilson(events: int, n: int, level: float = LEVEL) -> Estimate:
    """Share of `n` that are events, with Wilson's score interval; no value where n is 0."""
    if n == 0:
        return Estimate(None)
    z = _quantile(level)
    share = events / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if events == 0 else max(0.0, middle - half)
    high = 1.0 if events == n else min(1.0, middle + half)
    return Estimate(share, low, high, n, events)


def delong(label: ArrayLike, score: ArrayLike, level: float = LEVEL) -> Estimate:
    """AUC with the interval of DeLong et al. (1988), from midranks (Sun & Xu 2014), on the logit scale.

    Where the classes part without overlap DeLong's variance is 0; the interval is then Wilson's for the smaller class,
    which errs on the wide side. One class: no value.
    """
    is_lens = np.asarray(label).astype(bool)
    score = np.asarray(score, np.float64)
    lenses, others = int(is_lens.sum()), int((~is_lens).sum())
    if not lenses or not others:
        return Estimate(None, n=len(score))
    auc, per_lens, per_other = placements(score[is_lens], score[~is_lens])
    n, events = len(score), min(lenses, others)
    variance = sum(part.var(ddof=1) / len(part) for part in (per_lens, per_other) if len(part) > 1)
    if auc in (0.0, 1.0):
        edge = wilson(events if auc == 1 else 0, events, level)
        return Estimate(auc, edge.low, edge.high, n, events)
    if events < 2 or not variance:
        return Estimate(auc, None, None, n, events)
    logit = math.log(auc / (1 - auc))
    half = _quantile(level) * math.sqrt(variance) / (auc * (1 - auc))
    return Estimate(auc, _logistic(logit - half), _logistic(logit + half), n, events)


def delong_difference(label: ArrayLike, score: ArrayLike, against: ArrayLike, level: float = LEVEL) -> Estimate:
    """AUC of one score minus that of another of the same galaxies, paired (DeLong et al. 1988).

    Scores that rank alike differ by exactly 0. One class: no value; fewer than two of a class: no interval.
    """
    is_lens = np.asarray(label).astype(bool)
    lenses, others = int(is_lens.sum()), int((~is_lens).sum())
    if not lenses or not others:
        return Estimate(None, n=len(is_lens))
    ours, theirs = (
        placements(values[is_lens], values[~is_lens])
        for values in (np.asarray(score, np.float64), np.asarray(against, np.float64))
    )
    value, n, events = ours[0] - theirs[0], len(is_lens), min(lenses, others)
    if events < 2:
        return Estimate(value, None, None, n, events)
    variance = sum((a - b).var(ddof=1) / len(a) for a, b in zip(ours[1:], theirs[1:], strict=True))
    half = _quantile(level) * math.sqrt(variance)
    return Estimate(value, value - half, value + half, n, events)


def placements(
    lens_score: NDArray[np.float64], other_score: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """AUC, and what each lens and each other galaxy contributes to it.

    Returns
    -------
    auc : float
    per_lens : (P,) share of the others that score below each lens, ties half
    per_other : (N,) share of the lenses that score above each other galaxy, ties half
    """
    lenses, others = np.sort(lens_score), np.sort(other_score)
    below = _below(others, lens_score)
    above = 2 * len(lenses) - _below(lenses, other_score)
    auc = float(below.sum() / (2 * len(lenses) * len(others)))
    return auc, below / (2 * len(others)), above / (2 * len(lenses))


def _below(ordered: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Twice the number of `ordered` values below each score, a tie counting once."""
    return np.searchsorted(ordered, score, "left") + np.searchsorted(ordered, score, "right")


class Resampling:
    """The bootstrap over patches of sky: whole HEALPix pixels come and go, because neighbours share seeing and depth.

    Every round gives each pixel a multiplicity, Poisson with mean 1, made from a hash of (seed, round, pixel): no
    generator's stream, no order of rows, and the same draw for another table of the same sky, which pairs them.

    Parameters
    ----------
    pixels : (N,) int
        Pixel of each row.
    """

    def __init__(self, pixels: ArrayLike, rounds: int = ROUNDS, seed: int = 42) -> None:
        self.pixels, self.cluster = np.unique(np.asarray(pixels, np.int64), return_inverse=True)
        self.rounds = rounds
        digests = (hashlib.sha256(f"bootstrap:{seed}:{k}".encode()).digest() for k in range(-(-rounds // LANES)))
        self._round_keys = np.array([int.from_bytes(digest[:8], "little") for digest in digests], np.uint64)
        self._pixel_keys = _mix(self.pixels.astype(np.uint64))

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """Multiplicities of the distinct pixels, (rounds in the block, C) uint8, block after block."""
        for start in range(0, self.rounds, BLOCK_ROUNDS):
            rounds = slice(start, min(start + BLOCK_ROUNDS, self.rounds))
            keys = self._round_keys[start // LANES : -(-rounds.stop // LANES)]
            bits = _mix(self._pixel_keys[None, :] ^ keys[:, None])
            lanes = np.stack([(bits >> np.uint64(16 * lane)).astype(np.uint16) for lane in range(LANES)], axis=1)
            yield rounds, POISSON[lanes.reshape(-1, len(self.pixels))[: rounds.stop - start]]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of columns over the rows, in every round: (N, K) in, (rounds, K) out."""
        per_pixel = np.stack(
            [np.bincount(self.cluster, column, len(self.pixels)) for column in np.asarray(values, np.float64).T], axis=1
        )
        total = np.empty((self.rounds, per_pixel.shape[1]))
        for rounds, times in self.blocks():
            total[rounds] = times.astype(np.float64) @ per_pixel
        return total

    def ranking(
        self, label: ArrayLike, score: ArrayLike, fprs: Sequence[float] = (), before: Sequence[int] = ()
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """AUC and the recall at some false positive rates, or before some number of false positives, in every round.

        Returns
        -------
        auc : (rounds,)
        at_fpr : (rounds, len(fprs))
        at_count : (rounds, len(before))
            NaN in a round that drew no lens or no other galaxy.
        """
        (lens_score, lens_cluster), (other_score, other_cluster) = self._falling(label, score)
        above = np.searchsorted(-other_score, -lens_score, "left")  # others strictly above each lens
        level = np.searchsorted(-other_score, -lens_score, "right")  # and those as high
        found_before = np.searchsorted(-lens_score, -other_score, "left")  # lenses strictly above each other galaxy
        found_before = np.append(found_before, len(lens_score))
        auc = np.full(self.rounds, np.nan)
        at_fpr, at_count = (np.full((self.rounds, len(wanted)), np.nan) for wanted in (fprs, before))
        others = np.zeros(len(other_score) + 1, np.int64)  # how many of the first were drawn
        for number, drawn in self._draws():
            lens_times = drawn[lens_cluster].astype(np.int64)
            np.cumsum(drawn[other_cluster], dtype=np.int64, out=others[1:])
            lenses = np.append(0, np.cumsum(lens_times))
            if not lenses[-1] or not others[-1]:
                continue
            beaten = lens_times @ (2 * others[-1] - others[above] - others[level])
            auc[number] = beaten / (2 * lenses[-1] * others[-1])
            for k, fpr in enumerate(fprs):
                allowed = int(np.searchsorted(others[1:], fpr * others[-1] * (1 + 1e-12), "right"))
                at_fpr[number, k] = lenses[found_before[allowed]] / lenses[-1]
            for k, count in enumerate(before):
                allowed = int(np.searchsorted(others[1:], count, "left"))
                at_count[number, k] = lenses[found_before[allowed]] / lenses[-1]
        return auc, at_fpr, at_count

    def purity(
        self,
        label: ArrayLike,
        score: ArrayLike,
        recalls: Sequence[float],
        weight: ArrayLike | None = None,
        prevalence: float | None = None,
    ) -> NDArray[np.float64]:
        """Best purity of any threshold that finds some shares of the lenses, in every round.

        Parameters
        ----------
        weight : (N,), optional
            Galaxies that each row stands for.
        prevalence : float, optional
            Share of lenses to give the purity for; that of the rows if not given.

        Returns
        -------
        (rounds, len(recalls))
            NaN in a round that drew no lens or no other galaxy.
        """
        weights = np.ones(len(self.cluster)) if weight is None else np.asarray(weight, np.float64)
        is_lens = np.asarray(label).astype(bool)
        (lens_score, lens_cluster), (other_score, other_cluster) = self._falling(label, score)
        lens_weight, other_weight = (_by_falling_score(score, weights, of) for of in (is_lens, ~is_lens))
        taken = np.searchsorted(-other_score, -lens_score, "right")  # others as high as each lens, or above
        best = np.full((self.rounds, len(recalls)), np.nan)
        others = np.zeros(len(other_score) + 1)
        for number, drawn in self._draws():
            np.cumsum(drawn[other_cluster] * other_weight, out=others[1:])
            found = np.cumsum(drawn[lens_cluster] * lens_weight)
            if not len(found) or not found[-1] or not others[-1]:
                continue
            false = others[taken]
            if prevalence is not None:
                false = false / others[-1] * (1 - prevalence)
                lenses = found / found[-1] * prevalence
            else:
                lenses = found
            pure = lenses / np.where(lenses > 0, lenses + false, 1.0)
            best_from = np.maximum.accumulate(pure[::-1])[::-1]
            for k, recall in enumerate(recalls):
                best[number, k] = best_from[np.searchsorted(found, recall * found[-1] * (1 - 1e-12), "left")]
        return best

    def _draws(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Round by round, how often each distinct pixel was drawn."""
        for rounds, times in self.blocks():
            yield from zip(range(rounds.start, rounds.stop), times, strict=True)

    def _falling(
        self, label: ArrayLike, score: ArrayLike
    ) -> tuple[tuple[NDArray[np.float64], NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Scores, falling, and the patches of sky of the lenses and of the others."""
        is_lens, scores = np.asarray(label).astype(bool), np.asarray(score, np.float64)
        lenses, others = (
            (_by_falling_score(scores, scores, of), _by_falling_score(scores, self.cluster, of))
            for of in (is_lens, ~is_lens)
        )
        return lenses, others


def percentile_interval(samples: NDArray[np.float64], level: float = LEVEL) -> tuple[float | None, float | None]:
    """The middle 95 % of a figure's bootstrap values; (None, None) where it often has no value."""
    defined = samples[np.isfinite(samples)]
    if not len(samples) or len(defined) < LEAST_DEFINED * len(samples):
        return None, None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _by_falling_score(score: ArrayLike, values: NDArray[Any], kept: NDArray[np.bool_]) -> NDArray[Any]:
    """Some of the values, ordered by falling score."""
    return values[kept][np.argsort(-np.asarray(score, np.float64)[kept], kind="stable")]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits (the finaliser of SplitMix64: Steele, Lea & Flood 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _poisson() -> NDArray[np.uint8]:
    """Poisson numbers of mean 1 for each value of 16 uniform bits: (65536,), never falling."""
    terms = np.exp(-1) / np.array([math.factorial(k) for k in range(13)])
    middle = (np.arange(1 << 16) + 0.5) / (1 << 16)
    return np.searchsorted(np.cumsum(terms), middle, "right").astype(np.uint8)


POISSON = _poisson()


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))
