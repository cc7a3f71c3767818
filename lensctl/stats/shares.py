"""Fractions of rows, with intervals that know that neighbours on the sky are alike, and bounds where none was counted.

Rows of one HEALPix pixel share seeing, depth and confusers, so that 500 rows in 18 pixels say less than 500 rows. The
interval of a fraction is Clopper and Pearson's on the effective number of rows of Korn & Graubard (1998, Survey
Methodology 24, 193); that of a weighted fraction is the gamma interval of Fay & Feuer (1997, Statistics in Medicine 16,
791), whose upper end allows for one more event of the largest weight, because it is the heavy events that were not seen
that make a weighted rate look too good. Below ten pixels the scatter between pixels is itself unknown: no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lensctl.stats.intervals import FEW, LEVEL, Estimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_PIXELS = 10
"""Fewest HEALPix pixels whose scatter can be judged."""

EXACT, GAMMA = "Clopper-Pearson on the effective number of rows", "gamma, weighted"
"""Names of the intervals."""


def share_of_rows(taken: ArrayLike, pixel: ArrayLike, level: float = LEVEL) -> Estimate:
    """The fraction of rows that are taken, with Korn and Graubard's interval; no value without rows.

    Parameters
    ----------
    taken : (N,) bool
    pixel : (N,) int
        HEALPix pixel of each row.
    """
    hit = np.asarray(taken, bool)
    n, events = len(hit), int(hit.sum())
    if not n:
        return Estimate(None, why="no rows")
    value = events / n
    sums, pixels = _by_pixel(hit - value, pixel)
    if pixels < MIN_PIXELS:
        text = f"{events:,} of {n:,}" if events in (0, n) else ""
        return Estimate(value, None, None, n, events, why=too_few_pixels(pixels), text=text)
    variance = float((sums**2).sum()) * pixels / (pixels - 1) / n**2
    effective = value * (1 - value) / variance if variance else float(n)
    effective = min(effective / _spread(pixels, level), n)
    low, high = clopper_pearson(value * effective, effective, level)
    return Estimate(value, low, high, n, events, EXACT, text=counted(events, n, level, effective))


def weighted_share(taken: ArrayLike, weight: ArrayLike, pixel: ArrayLike, level: float = LEVEL) -> Estimate:
    """The weighted fraction of rows that are taken, with Fay and Feuer's interval; no value without rows."""
    hit, weights = np.asarray(taken, bool), np.asarray(weight, np.float64)
    n, events = len(hit), int(hit.sum())
    if not n:
        return Estimate(None, why="no rows")
    weights = weights / weights.sum()
    value = float(weights[hit].sum())
    sums, pixels = _by_pixel(weights * (hit - value), pixel)
    if pixels < MIN_PIXELS:
        text = f"{events:,} of {n:,}" if events in (0, n) else ""
        return Estimate(value, None, None, n, events, why=too_few_pixels(pixels), text=text)
    clustered = float((sums**2).sum()) * pixels / (pixels - 1)
    variance = max(clustered, float((weights[hit] ** 2).sum())) * _spread(pixels, level)
    heaviest = float(weights.max())
    low = _gamma(value, variance, (1 - level) / 2) if events else 0.0
    high = _gamma(value + heaviest, variance + heaviest**2, (1 + level) / 2)
    text = (
        f"0 of {n:,}: below {rounded(_gamma(heaviest, heaviest**2, level))} at {100 * level:.3g} %"
        if not events
        else ""
    )
    return Estimate(value, low, min(high, 1.0), n, events, GAMMA, text=text)


def purity_at(prevalence: float, recall: Estimate, fpr: Estimate) -> Estimate:
    """Purity of a selection on a sky with a prevalence of lenses, from its recall and its false positive rate.

    The interval is that of the ratio of the two rates (MOVER: Zou & Donner 2008, Statistics in Medicine 27, 1693).
    """
    n, events = recall.events + fpr.events, min(recall.events, fpr.events)
    odds = prevalence / (1 - prevalence)
    if not recall.value or fpr.value is None:
        return Estimate(None, n=n, events=events, why="nothing found" if recall.n else "no lenses")
    value = odds * recall.value / (odds * recall.value + fpr.value)
    if recall.low is None or recall.high is None or fpr.low is None or fpr.high is None:
        return Estimate(value, None, None, n, events, why=recall.why or fpr.why)
    if not recall.low:
        return Estimate(value, 0.0, 1.0, n, events, GAMMA)
    if not fpr.value:
        low = odds * recall.low / (odds * recall.low + fpr.high)
        return Estimate(value, low, 1.0, n, events, GAMMA, text=without_false_positive(low))
    down = math.hypot(math.log(recall.value / recall.low), math.log(fpr.high / fpr.value))
    up = math.inf if not fpr.low else math.hypot(math.log(recall.high / recall.value), math.log(fpr.value / fpr.low))
    ratio = odds * recall.value / fpr.value
    worst = ratio * math.exp(-down)
    high = 1.0 if math.isinf(up) else ratio * math.exp(up) / (1 + ratio * math.exp(up))
    return Estimate(value, worst / (1 + worst), high, n, events, GAMMA)


def worst_of(shares: Mapping[str, tuple[ArrayLike, ArrayLike]], level: float = LEVEL) -> tuple[str | None, Estimate]:
    """The category with the highest fraction, and the interval of the highest of all true fractions.

    Of C categories each gets an interval at 1 - (1 - level) / C; the highest true fraction lies between the highest
    lower end and the highest upper end. A category without an interval leaves the upper end open.

    Parameters
    ----------
    shares : mapping
        (taken, pixel) of the rows of each category; empty categories are left out.
    """
    filled = {name: rows for name, rows in shares.items() if len(np.asarray(rows[0]))}
    if not filled:
        return None, Estimate(None, why="no rows")
    each = 1 - (1 - level) / len(filled)
    found = {name: share_of_rows(*rows, level=each) for name, rows in filled.items()}
    large = {name: share for name, share in found.items() if share.n >= FEW} or found
    name = max(large, key=lambda name: (large[name].value or 0.0, large[name].n))
    value, n, events = large[name].value, large[name].n, large[name].events
    lows, highs = ([getattr(share, end) for share in found.values()] for end in ("low", "high"))
    low = max((one for one in lows if one is not None), default=None)
    kind = f"{EXACT}, of {len(found)} categories at once"
    silent = next((other for other, share in found.items() if share.high is None), None)
    if silent is not None:
        return name, Estimate(value, low, None, n, events, kind, f"{silent}: {found[silent].why}")
    return name, Estimate(value, low, max(highs), n, events, kind)


def clopper_pearson(events: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """The exact interval of a fraction; `events` and `n` need not be whole numbers."""
    from scipy.special import betaincinv

    low = float(betaincinv(events, n - events + 1, (1 - level) / 2)) if events > 0 else 0.0
    high = float(betaincinv(events + 1, n - events, (1 + level) / 2)) if events < n else 1.0
    return low, high


def below(n: float, level: float = LEVEL) -> float:
    """The fraction that is excluded, one-sided, where 0 of n were counted: the `rule of three`."""
    return float(-math.expm1(math.log(1 - level) / n)) if n else 1.0


def counted(events: int, n: int, level: float = LEVEL, effective: float | None = None) -> str:
    """What is known where none or all were counted, such as "0 of 501: below 0.0060 at 95 %"; else empty.

    The bound is that of `effective` independent rows, or of all.
    """
    if n and events in (0, n):
        most = below(n if effective is None else effective, level)
        side = f"below {rounded(most)}" if not events else f"above {rounded(1 - most)}"
        return f"{events:,} of {n:,}: {side} at {100 * level:.3g} %"
    return ""


def without_false_positive(low: float) -> str:
    """What is known of a purity where no false positive was counted, and the interval begins at `low`."""
    return f"no false positive seen: above {rounded(low)}"


def rounded(value: float) -> str:
    """A rate with two digits that count."""
    return f"{value:.{max(2, 1 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


def _by_pixel(values: NDArray[np.float64], pixel: ArrayLike) -> tuple[NDArray[np.float64], int]:
    _, cluster = np.unique(np.asarray(pixel), return_inverse=True)
    sums = np.bincount(cluster, values).astype(np.float64)
    return sums, len(sums)


def _spread(pixels: int, level: float) -> float:
    """How much wider Student's t of so many pixels is than the normal distribution, squared."""
    from scipy.special import ndtri, stdtrit

    return float((stdtrit(pixels - 1, (1 + level) / 2) / ndtri((1 + level) / 2)) ** 2)


def _gamma(mean: float, variance: float, probability: float) -> float:
    """Quantile of the gamma distribution of a mean and a variance."""
    from scipy.special import gammaincinv

    return float(gammaincinv(mean**2 / variance, probability) * variance / mean)


def too_few_pixels(pixels: int) -> str:
    """Why rows in so many pixels have no interval; empty if they have one."""
    if pixels >= MIN_PIXELS:
        return ""
    where = f"{pixels} HEALPix pixel{'s' if pixels != 1 else ''}"
    return f"no interval: the rows lie in {where}, and fewer than {MIN_PIXELS} do not show their scatter"
