"""False discoveries among the highest-scored galaxies of a search: q-values from galaxies that are known to be none.

The tail of a class is conformal: of n0 held-out galaxies of the class, k score at least as high as a threshold, and a
new galaxy of the class does with probability (1 + k) / (n0 + 1) (Bates, Candes, Lei, Romano & Sesia 2023, Annals of
Statistics 51, 149). The number of false candidates above a threshold is expected to be the sum over classes of the
galaxies searched times that tail; divided by the number of candidates it is the false discovery rate of Benjamini &
Hochberg (1995), and a candidate's q-value is the least rate of any list that holds it. It counts every galaxy searched
as no lens, and so is a little too large.

Two bounds stand beside it. Random galaxies alone (`q_random`, no confuser class, for everything searched) are a lower
one: where what looks like a lens is no random galaxy, the true rate is higher. Look-alikes alone (`q_lookalike`, every
confuser class together, for everything searched) are an upper one.

Where null galaxies differ in magnitude or seeing from those searched, both are divided into groups, and the null's
weights are scaled to the number searched of each class and group (weighted conformal: Tibshirani, Barber, Candes &
Ramdas 2019, NeurIPS). The one more galaxy, 1 + k, then has the greatest weight. Galaxies of a class and group without
null galaxies count as false, every one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

RANDOM, LOOKALIKE, CLASSES = "q_random", "q_lookalike", "q_classes"
"""The two bounds and the estimate, by the names of their columns."""

NO_CLASS = ""
"""Confuser class of a random galaxy."""

Counts = Mapping[str, "NDArray[np.float64]"]
"""Galaxies searched by confuser class, (G,) by group each."""


@dataclass(frozen=True)
class Groups:
    """Groups of galaxies by magnitude and PSF: a bin of each, and one group of what is not known.

    Attributes
    ----------
    magnitude, psf_arcsec : tuple of float
        Inner edges of the bins, ascending; empty for one bin.
    """

    magnitude: tuple[float, ...] = ()
    psf_arcsec: tuple[float, ...] = ()

    def __len__(self) -> int:
        return (len(self.magnitude) + 1) * (len(self.psf_arcsec) + 1) + 1

    def of(self, magnitude: ArrayLike, psf_arcsec: ArrayLike) -> NDArray[np.int64]:
        """Group of each galaxy, 0 to len - 1: (N,) and (N,) in, (N,) out; NaN in either is the last group."""
        values = [np.asarray(each, np.float64) for each in (magnitude, psf_arcsec)]
        edges = (self.magnitude, self.psf_arcsec)
        bins = [np.searchsorted(inner, each, side="right") for inner, each in zip(edges, values, strict=True)]
        group = bins[0] * (len(self.psf_arcsec) + 1) + bins[1]
        return np.where(np.isnan(values[0]) | np.isnan(values[1]), len(self) - 1, group).astype(np.int64)


def groups_of(magnitude: ArrayLike, psf_arcsec: ArrayLike, magnitude_bins: int = 3, psf_bins: int = 2) -> Groups:
    """Groups that divide null galaxies into equal parts by magnitude and by PSF."""

    def inner(values: ArrayLike, bins: int) -> tuple[float, ...]:
        known = np.asarray(values, np.float64)
        known = known[~np.isnan(known)]
        edges = np.quantile(known, np.arange(1, bins) / bins) if len(known) else np.empty(0)
        return tuple(np.unique(edges).tolist())

    return Groups(inner(magnitude, magnitude_bins), inner(psf_arcsec, psf_bins))


@dataclass(frozen=True)
class Null:
    """Galaxies known not to be lenses, and that the model was not trained on.

    Attributes
    ----------
    logit : (n,) float64
        Finite.
    category : (n,) text
        Confuser class; NO_CLASS where there is none.
    weight : (n,) float64, optional
        Galaxies that each stands for (sampling_weight), positive; all alike if not given.
    group : (n,) int, optional
        See `Groups`; all of one group if not given.
    """

    logit: NDArray[np.float64]
    category: NDArray[np.str_]
    weight: NDArray[np.float64] | None = None
    group: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        weights, groups = self.weights, self.groups
        if not len(self.logit) == len(self.category) == len(weights) == len(groups):
            raise ValueError("logit, category, weight and group differ in length")
        if not np.isfinite(self.logit).all() or not (np.isfinite(weights) & (weights > 0)).all():
            raise ValueError("a logit is not finite, or a weight not positive")

    @property
    def weights(self) -> NDArray[np.float64]:
        """(n,) weight of each galaxy."""
        return np.ones(len(self.logit)) if self.weight is None else np.asarray(self.weight, np.float64)

    @property
    def groups(self) -> NDArray[np.int64]:
        """(n,) group of each galaxy."""
        return np.zeros(len(self.logit), np.int64) if self.group is None else np.asarray(self.group, np.int64)


@dataclass(frozen=True)
class Tail:
    """What may be expected above a threshold of the galaxies searched, by null galaxies that they are like.

    Attributes
    ----------
    logit : (n,) float64
        Of the null galaxies, ascending.
    weight : (n,) float64
        Searched galaxies that each stands for.
    unlike : float
        Galaxies searched that no null galaxy is like: all of them may be false.
    """

    logit: NDArray[np.float64]
    weight: NDArray[np.float64]
    unlike: float

    def expected(self, threshold: ArrayLike) -> NDArray[np.float64]:
        """Galaxies at or above each threshold: (K,) in, (K,) out."""
        above = np.append(np.cumsum(self.weight[::-1])[::-1], 0.0)[np.searchsorted(self.logit, threshold, "left")]
        own, total = float(self.weight.max(initial=0.0)), float(self.weight.sum())
        return np.asarray(self.unlike + (total * (own + above) / (own + total) if total else 0.0 * above))

    @property
    def least(self) -> float:
        """Galaxies expected above every null galaxy: fewer are never claimed."""
        return float(self.expected(np.inf))


@dataclass(frozen=True)
class FalseDiscovery:
    """q-values of candidates, and how small they can become.

    Attributes
    ----------
    q : mapping of (K,) float64
        RANDOM, LOOKALIKE and CLASSES, each in the order of the candidates.
    least_false : mapping of float
        Fewest false candidates that each can claim, however long the list.
    unlike : mapping of float
        Galaxies searched, of a class and group without null galaxies, that each counts as false.
    """

    q: Mapping[str, NDArray[np.float64]]
    least_false: Mapping[str, float]
    unlike: Mapping[str, float]

    def fewest_candidates(self, target: float, name: str = CLASSES) -> int:
        """Fewest candidates that can reach a q-value: m / (q (n0 + 1)) where m were searched with n0 null galaxies."""
        return max(1, math.ceil(self.least_false[name] / target * (1 - 1e-12)))

    def smallest(self, candidates: int, name: str = CLASSES) -> float:
        """Smallest q-value that so many candidates can have."""
        return min(1.0, self.least_false[name] / candidates) if candidates else 1.0

    def sentence(self, target: float, name: str = CLASSES) -> str:
        """How many candidates a q-value needs, for people."""
        return f"{name}: at least {self.fewest_candidates(target, name):,} candidates are needed to reach {target:g}"


def false_discovery(logit: ArrayLike, searched: Counts, null: Null) -> FalseDiscovery:
    """q-values of the highest-scored galaxies of a search.

    Parameters
    ----------
    logit : (K,)
        Of the candidates, in any order: every galaxy searched that scored at least as high as the lowest of them.
    searched : mapping of (G,) float64
        Galaxies searched by confuser class (NO_CLASS too) and group, scored ones alone: see `count_searched`, and
        `estimated_counts` where their classes are not known.
    null : Null

    Returns
    -------
    FalseDiscovery

    Raises
    ------
    ValueError
        Arrays of different lengths, fewer galaxies searched than candidates.
    """
    scores = np.asarray(logit, np.float64)
    groups = max([int(null.groups.max(initial=0)) + 1, *(len(counts) for counts in searched.values())])
    counts = {name: np.pad(np.asarray(of, float), (0, groups - len(of))) for name, of in searched.items()}
    everything = np.sum([*counts.values(), np.zeros(groups)], axis=0)
    if everything.sum() < len(scores) * (1 - 1e-9):
        raise ValueError("there are more candidates than galaxies searched")
    of_class = {name: null.category == name for name in counts}
    tails = {
        RANDOM: [tail_of(null, null.category == NO_CLASS, everything)],
        LOOKALIKE: [tail_of(null, null.category != NO_CLASS, everything)],
        CLASSES: [tail_of(null, of_class[name], of) for name, of in sorted(counts.items()) if of.sum()],
    }
    return FalseDiscovery(
        {name: q_values(scores, each) for name, each in tails.items()},
        {name: float(sum(tail.least for tail in each)) for name, each in tails.items()},
        {name: float(sum(tail.unlike for tail in each)) for name, each in tails.items()},
    )


def tail_of(null: Null, members: NDArray[np.bool_], searched: NDArray[np.float64]) -> Tail:
    """The tail of some null galaxies, their weights scaled to the galaxies searched of each group.

    Parameters
    ----------
    members : (n,) bool
    searched : (G,) float64
    """
    group, weight = null.groups[members], null.weights[members]
    of_null = np.bincount(group, weight, minlength=len(searched)).astype(np.float64)
    scale = np.divide(searched, of_null, out=np.zeros_like(of_null), where=of_null > 0)
    order = np.argsort(null.logit[members], kind="stable")
    return Tail(null.logit[members][order], (weight * scale[group])[order], float(searched[of_null == 0].sum()))


def q_values(logit: NDArray[np.float64], tails: list[Tail]) -> NDArray[np.float64]:
    """Least expected share of false candidates in any list, from the top, that holds each candidate; at most 1."""
    order = np.argsort(-logit, kind="stable")
    ordered = logit[order]
    expected = np.sum([tail.expected(ordered) for tail in tails], axis=0) if tails else np.zeros(len(ordered))
    taken = np.searchsorted(-ordered, -ordered, "right")  # equal scores stand or fall together
    share = np.minimum(expected / np.maximum(taken, 1), 1.0)
    q = np.empty(len(ordered))
    q[order] = np.minimum.accumulate(share[::-1])[::-1]
    return q


def count_searched(category: ArrayLike, group: ArrayLike, groups: int) -> dict[str, NDArray[np.float64]]:
    """Galaxies by class, (groups,) by group each; counts of blocks of a survey add up.

    Parameters
    ----------
    category : (N,) text
        NO_CLASS where there is none.
    group : (N,) int
    """
    names, inverse = np.unique(np.asarray(category, str), return_inverse=True)
    flat = inverse * groups + np.asarray(group, np.int64)
    counts = np.bincount(flat, minlength=len(names) * groups).reshape(len(names), groups)
    return {str(name): row.astype(np.float64) for name, row in zip(names, counts, strict=True)}


def estimated_counts(searched: NDArray[np.float64], null: Null) -> dict[str, NDArray[np.float64]]:
    """Galaxies by class where the classes searched are not known: their shares among null galaxies, by weight.

    Parameters
    ----------
    searched : (G,) float64
        Galaxies searched by group. The null must be a draw of the same pool, weighted by sampling_weight. A group
        without null galaxies has the shares of all.
    """
    groups = len(searched)
    every = np.bincount(null.groups, null.weights, minlength=groups).astype(np.float64)
    counts = {}
    for name in sorted(set(null.category.tolist())):
        inside = null.category == name
        mine = np.bincount(null.groups[inside], null.weights[inside], minlength=groups).astype(np.float64)
        share = np.full(groups, mine.sum() / every.sum())
        counts[name] = searched * np.divide(mine, every, out=share, where=every > 0)
    return counts
