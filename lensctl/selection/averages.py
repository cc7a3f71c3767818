"""The share of a population that is found, computed twice: from p_det, and from the injections themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.selection.p_det.axis_values import scaled
from lensctl.stats.effective import effective_number
from lensctl.stats.fits.clustered import error_of_mean
from lensctl.stats.fits.density_ratio import density_ratio, evenly
from lensctl.stats.intervals import LEVEL, logit_interval, student_half_width
from lensctl.stats.shares import too_few_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lensctl.selection.predicting import Injections, Mean, Prediction, Selection

    Floats = NDArray[np.float64]

MOST_OUTSIDE = 0.05
"""Share of the weight that may lie outside the support where there is a figure."""

MOST_ROWS = 40_000
"""Rows of equal weight that stand for the population where it is compared with the design."""

BOX_MEAN = (
    "the share of the injections that were found: an average over the box of the design, which asks at every value "
    "alike. Lenses are not spread so, and p_det differs over the box: it is not a completeness"
)


@dataclass(frozen=True)
class Population:
    """Lenses to average over.

    Parameters
    ----------
    values : mapping of (N,) float64
        Axes.
    weight : (N,) float64
        How many lenses a row stands for, in any unit.
    faint : (N,) bool
        Fainter than every injection: not asked, and counted as not found.
    pixel : (N,) int, optional
        HEALPix pixel of each row.
    """

    values: Mapping[str, Floats]
    weight: Floats
    faint: NDArray[np.bool_]
    pixel: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Average:
    """An average with its 95 % interval and what that is of; or, without one, why not."""

    value: float
    low: float | None
    high: float | None
    interval: str = ""
    why: str = ""


def completeness(population: Population, found: Prediction, selection: Selection, *, min_neff: float) -> dict[str, Any]:
    """Both averages as plain values, with effective numbers and shares, or the reasons why there is none.

    Returns
    -------
    dict
        `plug_in` and `importance`, each with `within` (lenses no fainter than the injections) and `all` (fainter ones
        count as not found), `agree`, `reasons`, `share`, `n_eff`, and the box mean with what it is not.
    """
    weight, bright, injections = population.weight, ~population.faint, selection.injections
    whole, reached = float(weight.sum()), float(weight[bright].sum())
    inside = bright & found.inside
    outside = 1 - float(weight[inside].sum()) / reached if reached else 1.0
    told: dict[str, Any] = {
        "share": {"fainter_than_injections": round(1 - reached / whole, 6), "outside_support": round(outside, 6)},
        "n_eff": {"table": round(effective_number(weight[inside]), 1), "injections": None},
        "box_mean": {"value": _rounded(float(injections.detected.mean())), "is": BOX_MEAN},
        "plug_in": None,
        "importance": None,
        "agree": None,
        "reasons": [],
    }
    if outside > MOST_OUTSIDE:
        told["reasons"].append(
            f"{100 * outside:.1f} % of the weight lies outside the support of the injections, more than "
            f"{100 * MOST_OUTSIDE:g} %: there p_det is not known"
        )
        return told
    ratio = population_ratio(population, inside, injections, selection.axes)
    n_eff = effective_number(ratio, injections.host)
    told["n_eff"]["injections"] = round(n_eff, 1)
    if n_eff < min_neff:
        told["reasons"].append(
            f"the injections stand for this population like {n_eff:.0f} of independent hosts, fewer than {min_neff:g}: "
            "inject more, or by a design nearer to it"
        )
        return told
    pixel = None if population.pixel is None else population.pixel[inside]
    kept = {name: population.values[name][inside] for name in selection.axes}
    plug = plug_in(selection.predictor.mean(kept, weight[inside]), found.p[inside], weight[inside], pixel)
    cluster = injections.host if injections.pixel is None else injections.pixel
    other = importance(ratio, injections.detected, cluster)
    told["agree"] = agree(plug, other)
    told["reasons"] += [average.why for average in (plug, other) if average.why]
    if told["agree"] is False:
        told["reasons"].append(
            f"p_det gives {plug.value:.3f} and the injections {other.value:.3f}, further apart than their errors "
            "allow: one of them does not describe this population; quote neither"
        )
    for name, average in (("plug_in", plug), ("importance", other)):
        told[name] = {"within": _plain(average, 1.0), "all": _plain(average, reached / whole)}
    return told


def population_ratio(
    population: Population, inside: NDArray[np.bool_], injections: Injections, axes: Sequence[str]
) -> Floats:
    """Weight v of each injection with which they stand for the population inside the support: mean 1."""
    weight = population.weight[inside]
    target = scaled({name: population.values[name][inside] for name in axes}, axes)
    chosen = evenly(weight, min(MOST_ROWS, len(weight)))
    _, host = np.unique(injections.host, return_inverse=True)
    return density_ratio(scaled(injections.values, axes), target[chosen], host)


def plug_in(mean: Mean, p: Floats, weight: Floats, pixel: NDArray[np.int64] | None) -> Average:
    """C = sum w p / sum w, with the interval of that mean of p_det, widened by the scatter of the table itself.

    Without pixels the rows are taken for independent; in too few there is no interval.
    """
    value = mean.value
    scatter, why = clustered_half_width(weight, p - value, np.arange(len(p)) if pixel is None else pixel)
    if scatter is None:
        return Average(value, None, None, why=f"the table: {why}")
    down, up = math.hypot(value - mean.low, scatter), math.hypot(mean.high - value, scatter)
    what = "of p_det and of the table" if pixel is not None else "of p_det and of the table, its rows independent"
    return Average(value, max(value - down, 0.0), min(value + up, 1.0), what)


def importance(ratio: Floats, detected: NDArray[np.bool_], cluster: NDArray[np.generic]) -> Average:
    """C' = sum v d / sum v over the injections, with the scatter between clusters (pixels, or hosts).

    The interval is that of the logit: where a few heavy injections happen not to be found, the share and its scatter
    are both low, and an interval that is even in the share ends too low (7 to 11 % of truths lay above it). The
    interval of other weighted shares, which allows for one more event of the heaviest weight, is twice as wide as need
    be with weights that have such a tail. In too few clusters, and where none or all were found, there is none.
    """
    value = float((ratio * detected).sum() / ratio.sum())
    half, why = clustered_half_width(ratio, np.asarray(detected - value, np.float64), cluster)
    if half is not None and not 0 < value < 1:
        why = f"no interval: {'all' if value else 'none'} of those that stand for this population were found"
    if why or half is None:
        return Average(value, None, None, why=f"the injections: {why}")
    return Average(value, *logit_interval(value, half), "of scatter between pixels or hosts")


def clustered_half_width(weight: Floats, residual: Floats, cluster: NDArray[np.generic]) -> tuple[float | None, str]:
    """Half the 95 % interval of a weighted mean, of residuals that are alike within a cluster; None, and why, in few.

    By Student's t of as many clusters as would scatter as much, had they equal weights.
    """
    if why := too_few_pixels(len(np.unique(cluster))):
        return None, why
    return student_half_width(error_of_mean(residual, cluster, weight), effective_number(weight, cluster)), ""


def agree(one: Average, other: Average) -> bool | None:
    """Whether two averages differ by no more than their intervals, added in quadrature; None if one has none."""
    first, second = sorted((one, other), key=lambda average: average.value)
    if first.high is None or second.low is None:
        return None
    gap = second.value - first.value
    return gap <= math.hypot(first.high - first.value, second.value - second.low) + 1e-12


def _plain(average: Average, share: float) -> dict[str, Any]:
    value, low, high = (
        None if each is None else _rounded(each * share) for each in (average.value, average.low, average.high)
    )
    told = {"value": value, "low": low, "high": high, "level": LEVEL, "interval": average.interval}
    return {**told, **({"why": average.why} if average.why else {})}


def _rounded(value: float) -> float:
    return round(value, 6)
