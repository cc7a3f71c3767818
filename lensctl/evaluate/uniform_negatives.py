"""Recall and false positive rates on a uniform draw of galaxies: what a search meets, beside the stratified negatives.

15 % of the usual negatives are 72,000 rows, of which seven are false positives at a rate of 1e-4. A uniform draw may
have a million. Random galaxies hold undiscovered lenses, so that every false positive rate here is an upper bound, and
every recall at a rate a lower one; with visual grades both figures are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate import ranking
from lensctl.evaluate.scored import Scored
from lensctl.evaluate.uniform.rows import Uniform
from lensctl.io.tables.lens_catalogs import TIERS
from lensctl.rules.acceptance import SEARCH_FPRS
from lensctl.stats import metrics
from lensctl.stats.intervals import Estimate, Resampling
from lensctl.stats.shares import share_of_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.evaluate.grades import Grades
    from lensctl.stats.thresholds import Threshold

NOTE = (
    "Random galaxies hold undiscovered lenses: the false positive rates on them are upper bounds, and the recalls at a "
    "rate lower bounds."
)
GRADED = "As graded, galaxies of grade A or B are left out of the uniform negatives."
ALL, NO_CLASS = "all", "none"
"""Categories of `tables/fpr.csv` besides the confuser classes: every row, and rows of no class."""

Thresholds = Sequence[tuple[str, float | None, str]]
"""Name, logit, and why there is none."""


@dataclass(frozen=True)
class UniformFigures:
    """The block `negatives` of metrics.json, and the table `fpr`."""

    block: dict[str, Any]
    table: pa.Table


def figures(
    test: Scored,
    uniform: Uniform,
    chosen: Sequence[Threshold],
    rounds: int,
    seed: int,
    graded: Grades | None = None,
) -> UniformFigures:
    """Figures of the lenses of test against the rows of a uniform draw.

    Parameters
    ----------
    test : Scored
        Its lenses are those of the recall; its own negatives give the figures beside.
    uniform : Uniform
    chosen : sequence of Threshold
        At each the false positive rate is given, by confuser class, and at the thresholds that have the rates of
        SEARCH_FPRS on the uniform draw itself.
    graded : Grades, optional
        The same without the galaxies that were graded A or B.
    """
    import pyarrow as pa

    is_lens = np.zeros(len(uniform), bool) if graded is None else np.isin(_grades(uniform, graded), TIERS)
    own = recalls(test, uniform, rounds, seed)
    cleaned = None if graded is None else recalls(test, uniform.where(~is_lens), rounds, seed)
    beside = _stratified(test, rounds, seed)
    thresholds = [(one.name, one.logit, one.text) for one in chosen]
    thresholds += [(f"uniform fpr={row['fpr']:g}", row["logit"], row["why"]) for row in own]
    rows = _rates(uniform, thresholds)
    if graded is not None:
        lenses = _rates(uniform.where(~is_lens), thresholds)
        rows = [{**row, **_as_graded(row, there)} for row, there in zip(rows, lenses, strict=True)]
    block = {
        "name": uniform.source.name,
        "digest": uniform.source.digest,
        "rows": len(uniform),
        "unscored": uniform.unscored,
        "lenses_left_out": uniform.lenses_left_out,
        "pixels": len(np.unique(uniform.pixel)),
        "sampling_weight": uniform.weight,
        "graded_lenses": None if graded is None else int(is_lens.sum()),
        "note": NOTE if graded is None else f"{NOTE} {GRADED}",
        "recall_at_fpr": [
            {
                "fpr": row["fpr"],
                "uniform": row,
                "stratified": beside[k],
                "as_graded": None if cleaned is None else cleaned[k],
            }
            for k, row in enumerate(own)
        ],
        "fpr": [row for row in rows if row["category"] == ALL],
    }
    return UniformFigures(block, pa.Table.from_pylist(rows))


def recalls(test: Scored, uniform: Uniform, rounds: int, seed: int) -> list[dict[str, Any]]:
    """Recall of the lenses of test at each rate of SEARCH_FPRS on a uniform draw, and its threshold, `logit`.

    The interval is of a bootstrap over HEALPix pixels, of lenses and galaxies together. Below one expected false
    positive only the bound is given.
    """
    lenses = test.where(test.is_lens)
    label = np.repeat([True, False], [len(lenses), len(uniform)])
    logit = np.concatenate([lenses.logit, uniform.logit])
    return _recalls(label, logit, np.concatenate([lenses.pixel, uniform.pixel]), rounds, seed)


def _stratified(test: Scored, rounds: int, seed: int) -> list[dict[str, Any]]:
    return _recalls(test.is_lens, test.logit, test.pixel, rounds, seed)


def _recalls(
    label: NDArray[np.bool_], logit: NDArray[np.float64], pixel: NDArray[np.int64], rounds: int, seed: int
) -> list[dict[str, Any]]:
    resampling = Resampling(pixel, rounds, seed)
    samples = resampling.recall_at(label, logit, SEARCH_FPRS)
    points = metrics.curve(label, logit)
    found = []
    for k, fpr in enumerate(SEARCH_FPRS):
        row = ranking.recall_at_fpr(points, fpr, samples[:, k], resampling)
        point = None if row["value"] is None else metrics.point_at_fpr(points, fpr)
        found.append({"fpr": fpr, "logit": None if point is None else point.threshold, **row})
    return found


def _rates(uniform: Uniform, thresholds: Thresholds) -> list[dict[str, Any]]:
    """False positive rate at each threshold, of all rows and by category; no value where none was counted."""
    groups = {ALL: np.ones(len(uniform), bool)}
    if uniform.category is not None:
        known = {name: uniform.category == name for name in uniform.survey.confusers}
        groups |= {NO_CLASS: uniform.category == "", **known}
    rows = []
    for name, logit, why in thresholds:
        for category, inside in groups.items():
            rate = Estimate(None, n=int(inside.sum()), why=why)
            if logit is not None:
                rate = share_of_rows(uniform.logit[inside] >= logit, uniform.pixel[inside])
                rate = replace(rate, value=rate.value if rate.events else None)
            rows.append({"threshold": name, "logit": logit, "category": category, **_named(rate)})
    return rows


def _named(rate: Estimate) -> dict[str, Any]:
    values = rate.as_dict()
    kept = {name: values[name] for name in ("low", "high", "n", "few", "text", "why")}
    return {"false_positives": rate.events, "fpr": rate.value, **kept}


def _as_graded(row: dict[str, Any], cleaned: dict[str, Any]) -> dict[str, Any]:
    """What a row has more where there are grades."""
    named = {f"{name}_as_graded": cleaned[name] for name in ("fpr", "low", "high")}
    return {"graded_lenses": row["false_positives"] - cleaned["false_positives"], **named}


def graded_among(uniform: Uniform, graded: Grades | None) -> int:
    """Number of graded galaxies among the rows."""
    return 0 if graded is None else int((_grades(uniform, graded) != "").sum())


def _grades(uniform: Uniform, graded: Grades) -> NDArray[np.str_]:
    return np.array([graded.of.get(name, "") for name in uniform.galaxy_id.to_pylist()], str)
