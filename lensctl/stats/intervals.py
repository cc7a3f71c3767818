"""Confidence intervals: Wilson's for fractions, DeLong's for AUC, and a bootstrap over HEALPix pixels."""

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
Z = 1.959964
"""Half width of a 95 % interval in standard errors."""

MOST_LOGIT = 700.0
"""The exponential of a larger one overflows."""

FEW = 10
"""Metrics based on fewer events than this are flagged."""

ROUNDS = 2_000
BLOCK_ROUNDS = 64
LANES = 4
"""Rounds per 64-bit hash: 16 bits each, finer than 2,000 rounds can distinguish from a true Poisson."""

TOP_ROWS, TOP_TIMES = 1_000, 2.0
"""Non-lenses that a bootstrap of low rates goes through: so many, and so many times the largest rate."""

MIN_DEFINED = 0.95
"""Minimum fraction of bootstrap rounds in which a metric must be defined to have an interval."""


@dataclass(frozen=True)
class Estimate:
    """A metric, its 95% interval, the number of rows it was measured on, and the number of events it is based on.

    Events are lenses found for a recall, false positives for a rate, and the smaller class for an AUC.

    Attributes
    ----------
    interval : str
        What kind of interval it is; empty without one.
    why : str
        Why there is no value or no interval.
    text : str
        What is known where nothing was counted, such as "0 of 501: below 0.0060 at 95 %".
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    events: int = 0
    interval: str = ""
    why: str = ""
    text: str = ""

    @property
    def few(self) -> bool:
        """Whether fewer than ten events, or fewer than ten others, decide: 20 of 21 rests on one."""
        return min(self.events, self.n - self.events) < FEW

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "few": self.few}


def wilson(events: float, n: float, level: float = LEVEL) -> Estimate:
    """The fraction events / n with Wilson's score interval; no value if n is 0. An effective n need not be whole."""
    if n == 0:
        return Estimate(None)
    z = _quantile(level)
    share = events / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if events == 0 else max(0.0, middle - half)
    high = 1.0 if events == n else min(1.0, middle + half)
    return Estimate(share, low, high, int(n), int(events))


def delong(label: ArrayLike, score: ArrayLike, level: float = LEVEL) -> Estimate:
    """AUC with the interval of DeLong et al. (1988), from midranks (Sun & Xu 2014), on the logit scale.

    For perfectly separated classes DeLong's variance is 0; the interval is then Wilson's for the smaller class, which
    is conservative. No value if only one class is present.
    """
    is_lens = np.asarray(label).astype(bool)
    score = np.asarray(score, np.float64)
    lenses, negatives = int(is_lens.sum()), int((~is_lens).sum())
    if not lenses or not negatives:
        return Estimate(None, n=len(score))
    auc, per_lens, per_negative = placements(score[is_lens], score[~is_lens])
    n, events = len(score), min(lenses, negatives)
    variance = sum(part.var(ddof=1) / len(part) for part in (per_lens, per_negative) if len(part) > 1)
    if auc in (0.0, 1.0):
        edge = wilson(events if auc == 1 else 0, events, level)
        return Estimate(auc, edge.low, edge.high, n, events)
    if events < 2 or not variance:
        return Estimate(auc, None, None, n, events)
    return Estimate(auc, *logit_interval(auc, _quantile(level) * math.sqrt(variance)), n, events)


def student_interval(value: float, error: float, pixels: float, level: float = LEVEL) -> tuple[float, float]:
    """Student's interval of a value whose standard error is that of the scatter between so many pixels."""
    half = student_half_width(error, pixels, level)
    return value - half, value + half


def student_half_width(error: float, pixels: float, level: float = LEVEL) -> float:
    """How far Student's interval reaches to each side; `pixels` need not be a whole number."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    return float(stdtrit(max(pixels - 1, 1), (1 + level) / 2)) * error


def logit_interval(value: float, half: float) -> tuple[float, float]:
    """The interval of a share between 0 and 1 that reaches `half` to each side of it, made even in its logit."""
    middle, reach = math.log(value / (1 - value)), half / (value * (1 - value))
    low, high = (
        1 / (1 + math.exp(-min(max(end, -MOST_LOGIT), MOST_LOGIT))) for end in (middle - reach, middle + reach)
    )
    return low, high


def delong_difference(label: ArrayLike, score: ArrayLike, against: ArrayLike, level: float = LEVEL) -> Estimate:
    """Paired difference of the AUCs of two scores of the same galaxies (DeLong et al. 1988).

    Scores with the same ranking differ by exactly 0. No value if only one class is present; no interval if a class
    has fewer than two rows.
    """
    is_lens = np.asarray(label).astype(bool)
    lenses, negatives = int(is_lens.sum()), int((~is_lens).sum())
    if not lenses or not negatives:
        return Estimate(None, n=len(is_lens))
    ours, theirs = (
        placements(values[is_lens], values[~is_lens])
        for values in (np.asarray(score, np.float64), np.asarray(against, np.float64))
    )
    value, n, events = ours[0] - theirs[0], len(is_lens), min(lenses, negatives)
    if events < 2:
        return Estimate(value, None, None, n, events)
    variance = sum((a - b).var(ddof=1) / len(a) for a, b in zip(ours[1:], theirs[1:], strict=True))
    half = _quantile(level) * math.sqrt(variance)
    return Estimate(value, value - half, value + half, n, events)


def placements(
    lens_score: NDArray[np.float64], negative_score: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """AUC, and the placement of each lens and each non-lens.

    Returns
    -------
    auc : float
    per_lens : (P,) fraction of non-lenses that score below each lens, ties counting half
    per_negative : (N,) fraction of lenses that score above each non-lens, ties counting half
    """
    lenses, negatives = np.sort(lens_score), np.sort(negative_score)
    below = _below(negatives, lens_score)
    above = 2 * len(lenses) - _below(lenses, negative_score)
    auc = float(below.sum() / (2 * len(lenses) * len(negatives)))
    return auc, below / (2 * len(negatives)), above / (2 * len(lenses))


def _below(ordered: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Twice the number of `ordered` values below each score, ties counting once."""
    return np.searchsorted(ordered, score, "left") + np.searchsorted(ordered, score, "right")


class Resampling:
    """Block bootstrap over HEALPix pixels, because neighbours share seeing and depth.

    In every round each pixel has a Poisson multiplicity of mean 1, derived from a hash of (seed, round, pixel). It does
    not depend on the row order, and is the same for another table of the same sky, so comparisons are paired.

    Parameters
    ----------
    pixels : (N,) int
        HEALPix pixel of each row.
    """

    def __init__(self, pixels: ArrayLike, rounds: int = ROUNDS, seed: int = 42) -> None:
        self.pixels, self.cluster = np.unique(np.asarray(pixels, np.int64), return_inverse=True)
        self.rounds = rounds
        digests = (hashlib.sha256(f"bootstrap:{seed}:{k}".encode()).digest() for k in range(-(-rounds // LANES)))
        self._round_keys = np.array([int.from_bytes(digest[:8], "little") for digest in digests], np.uint64)
        self._pixel_keys = _mix(self.pixels.astype(np.uint64))

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """Multiplicities of the distinct pixels, (rounds in the block, C) uint8, block by block."""
        for start in range(0, self.rounds, BLOCK_ROUNDS):
            rounds = slice(start, min(start + BLOCK_ROUNDS, self.rounds))
            keys = self._round_keys[start // LANES : -(-rounds.stop // LANES)]
            bits = _mix(self._pixel_keys[None, :] ^ keys[:, None])
            lanes = np.stack([(bits >> np.uint64(16 * lane)).astype(np.uint16) for lane in range(LANES)], axis=1)
            yield rounds, POISSON[lanes.reshape(-1, len(self.pixels))[: rounds.stop - start]]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Column sums over the rows in every round: (N, K) to (rounds, K)."""
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
        """AUC, recall at false positive rates, and recall before a number of false positives, in every round.

        Returns
        -------
        auc : (rounds,)
        at_fpr : (rounds, len(fprs))
        at_count : (rounds, len(before))
            NaN in rounds without lenses or without non-lenses.
        """
        (lens_score, lens_cluster), (negative_score, negative_cluster) = self._descending(label, score)
        above = np.searchsorted(-negative_score, -lens_score, "left")  # non-lenses strictly above each lens
        level = np.searchsorted(-negative_score, -lens_score, "right")  # and those at or above
        found_before = np.searchsorted(-lens_score, -negative_score, "left")  # lenses strictly above each non-lens
        found_before = np.append(found_before, len(lens_score))
        auc = np.full(self.rounds, np.nan)
        at_fpr, at_count = (np.full((self.rounds, len(wanted)), np.nan) for wanted in (fprs, before))
        negatives = np.zeros(len(negative_score) + 1, np.int64)  # cumulative number drawn
        for number, drawn in self._draws():
            lens_times = drawn[lens_cluster].astype(np.int64)
            np.cumsum(drawn[negative_cluster], dtype=np.int64, out=negatives[1:])
            lenses = np.append(0, np.cumsum(lens_times))
            if not lenses[-1] or not negatives[-1]:
                continue
            beaten = lens_times @ (2 * negatives[-1] - negatives[above] - negatives[level])
            auc[number] = beaten / (2 * lenses[-1] * negatives[-1])
            for k, fpr in enumerate(fprs):
                allowed = int(np.searchsorted(negatives[1:], fpr * negatives[-1] * (1 + 1e-12), "right"))
                at_fpr[number, k] = lenses[found_before[allowed]] / lenses[-1]
            for k, count in enumerate(before):
                allowed = int(np.searchsorted(negatives[1:], count, "left"))
                at_count[number, k] = lenses[found_before[allowed]] / lenses[-1]
        return auc, at_fpr, at_count

    def recall_at(self, label: ArrayLike, score: ArrayLike, fprs: Sequence[float]) -> NDArray[np.float64]:
        """`at_fpr` of `ranking`, many times as fast where the rates are low and the non-lenses many.

        In a round only the highest-scored non-lenses are gone through, and all of them where those do not suffice.
        """
        (lens_score, lens_cluster), (negative_score, negative_cluster) = self._descending(label, score)
        found_before = np.searchsorted(-lens_score, -negative_score, "left")  # lenses strictly above each non-lens
        found_before = np.append(found_before, len(lens_score))
        count = len(negative_score)
        top = min(count, TOP_ROWS + math.ceil(TOP_TIMES * max(fprs) * count))
        per_pixel = np.bincount(negative_cluster, minlength=len(self.pixels))
        at_fpr = np.full((self.rounds, len(fprs)), np.nan)
        for number, drawn in self._draws():
            lenses = np.append(0, np.cumsum(drawn[lens_cluster], dtype=np.int64))
            total = int(drawn.astype(np.int64) @ per_pixel)
            if not lenses[-1] or not total:
                continue
            limits = np.array(fprs) * total * (1 + 1e-12)
            negatives = np.cumsum(drawn[negative_cluster[:top]], dtype=np.int64)
            if top < count and negatives[-1] <= limits.max():
                negatives = np.cumsum(drawn[negative_cluster], dtype=np.int64)
            allowed = np.searchsorted(negatives, limits, "right")
            at_fpr[number] = lenses[found_before[allowed]] / lenses[-1]
        return at_fpr

    def _draws(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Multiplicity of each distinct pixel, round by round."""
        for rounds, times in self.blocks():
            yield from zip(range(rounds.start, rounds.stop), times, strict=True)

    def _descending(
        self, label: ArrayLike, score: ArrayLike
    ) -> tuple[tuple[NDArray[np.float64], NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Descending scores and their pixel indices, of lenses and of non-lenses."""
        is_lens, scores = np.asarray(label).astype(bool), np.asarray(score, np.float64)
        lenses, negatives = (
            (_by_descending_score(scores, scores, of), _by_descending_score(scores, self.cluster, of))
            for of in (is_lens, ~is_lens)
        )
        return lenses, negatives


def percentile_interval(samples: NDArray[np.float64], level: float = LEVEL) -> tuple[float | None, float | None]:
    """Central 95% of a metric's bootstrap values; (None, None) if it is undefined in too many rounds."""
    defined = samples[np.isfinite(samples)]
    if not len(samples) or len(defined) < MIN_DEFINED * len(samples):
        return None, None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _by_descending_score(score: ArrayLike, values: NDArray[Any], kept: NDArray[np.bool_]) -> NDArray[Any]:
    """The kept values, in descending order of score."""
    return values[kept][np.argsort(-np.asarray(score, np.float64)[kept], kind="stable")]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits (the finaliser of SplitMix64: Steele, Lea & Flood 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _poisson() -> NDArray[np.uint8]:
    """Poisson quantiles of mean 1 for each 16-bit uniform value: (65536,), non-decreasing."""
    terms = np.exp(-1) / np.array([math.factorial(k) for k in range(13)])
    middle = (np.arange(1 << 16) + 0.5) / (1 << 16)
    return np.searchsorted(np.cumsum(terms), middle, "right").astype(np.uint8)


POISSON = _poisson()


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
