"""Where lenses are lost: cells that hold much of what is missed, in a population or in the design of the injections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, chain_of, common_survey, step_input
from lensctl.io.tables.files import read_table
from lensctl.selection.p_det.axis_values import axis_values, weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Input
    from lensctl.rules.survey import Survey
    from lensctl.selection.fitting.fits import AtThreshold
    from lensctl.selection.p_det.axes import Axis

    Floats = NDArray[np.float64]

DESIGN, POPULATION = "design", "population"


@dataclass(frozen=True)
class Population:
    """Lenses as nature has them: axes in natural units and weights, (N,) float64 each."""

    values: Mapping[str, Floats]
    weight: Floats
    where: str
    chain: Chain
    source: Input


def read_population(path: str, axes: Sequence[Axis], survey: Survey) -> Population:
    """A table of lenses, as for `selection apply`; InputError for a missing axis, another unit, or weights of none."""
    table = read_table(path)
    where = "stdin" if path == "-" else path
    chain = chain_of(table, path)
    if chain:
        common_survey(survey, chain)
    values = axis_values(table, [axis.name for axis in axes], survey, where)
    source = step_input("population", path, digests.of_table(table), chain)
    return Population(values, weights(table, where), where, chain, source)


def failure_modes(fit: AtThreshold, population: Population | None) -> list[dict[str, Any]]:
    """Each cell with the share of all that is missed in it, the greatest first; cells of two axes, then of one.

    Of a population, `weight` is the share of its lenses, those outside the support of the injections among them, whose
    p_det is not known. Without one it is the share of the injections, whose design is no population: nature may fill
    other cells.

    Returns
    -------
    list of dict
        threshold, by (population or design), axis, low, high, second, second_low, second_high, weight, p, p_low,
        p_high, missed: share of what is missed in all cells of the same axes. Ends of p are means over lenses, as if
        their errors were one.
    """
    told = _of_design(fit) if population is None else _of_population(fit, population)
    found: list[dict[str, Any]] = []
    for axes in dict.fromkeys((row["axis"], row["second"]) for row in told):
        own = [row for row in told if (row["axis"], row["second"]) == axes]
        whole = sum(row["weight"] * (1 - row["p"]) for row in own)
        found += [{**row, "missed": row["weight"] * (1 - row["p"]) / whole if whole else 0.0} for row in own]
    return sorted(found, key=lambda row: (not row["second"], -row["missed"]))


def outside_share(fit: AtThreshold, population: Population) -> float:
    """Share of the weight of a population that lies outside the support of the injections."""
    inside = fit.detection.predict(population.values).inside
    return float(population.weight[~inside].sum() / population.weight.sum())


PLACE = ("axis", "low", "high", "second", "second_low", "second_high")


def _of_design(fit: AtThreshold) -> list[dict[str, Any]]:
    """Shares as counted, of cells that have a figure."""
    whole = int(fit.kept.sum())
    about = {"threshold": fit.threshold.name, "by": DESIGN}
    return [
        {
            **about,
            **{name: row[name] for name in PLACE},
            "weight": row["n"] / whole,
            **{name: row[name] for name in ("p", "p_low", "p_high")},
        }
        for row in fit.cells
        if row["p"] is not None
    ]


def _of_population(fit: AtThreshold, population: Population) -> list[dict[str, Any]]:
    """Means of p_det over the lenses inside the support, in the cells of the injections."""
    found = fit.detection.predict(population.values)
    share = np.where(found.inside, population.weight, 0.0) / population.weight.sum()
    greatest: dict[str, float] = {}
    for row in fit.cells:
        greatest[row["axis"]] = max(greatest.get(row["axis"], row["high"]), row["high"])
    told = []
    for row in fit.cells:
        part = _within(population.values[row["axis"]], row["low"], row["high"], greatest[row["axis"]])
        if row["second"]:
            name = row["second"]
            part &= _within(population.values[name], row["second_low"], row["second_high"], greatest[name])
        weight = float(share[part].sum())
        if weight > 0:
            ends = {
                name: float(share[part] @ each[part] / weight)
                for name, each in (("p", found.p), ("p_low", found.low), ("p_high", found.high))
            }
            about = {"threshold": fit.threshold.name, "by": POPULATION}
            told.append({**about, **{name: row[name] for name in PLACE}, "weight": weight, **ends})
    return told


def _within(values: Floats, low: float, high: float, greatest: float) -> NDArray[np.bool_]:
    """Which values lie in a cell, whose upper end belongs to the next, or to it where it is the last."""
    return (values >= low) & ((values <= high) if high == greatest else (values < high))
