"""Acceptance criteria: of a pool of negatives, a cutout, a trained model in two levels, its selection function."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from lensctl.rules.survey import Survey

MIN_POOL_ROWS = 200_000

N2_SHARE = (0.15, 0.25)
"""Least and greatest share of N2, the hard confusers, in a pool."""

MAX_EMPTY = 0.05
"""Greatest fraction of empty inner pixels in any band of a usable cutout; see `quality.inner`."""


def min_pool_types(survey: Survey) -> int:
    """Least number of galaxy types in a pool: those of the strata."""
    return len(survey.strata.get("type", ())) or 1


def critical_columns(survey: Survey) -> tuple[str, ...]:
    """Columns that every row of a pool needs; of a catalogue of other names, those that the survey maps."""
    of_catalog = {"type": "type", survey.depth("nobs"): survey.depth("nobs"), survey.nobs_bin: survey.depth("nobs")}
    measured = (name for name, source in of_catalog.items() if not survey.columns or source in survey.columns)
    return ("galaxy_id", "ra", "dec", *measured, "healpix_128", "split", "pool")


P_OPERATING = 0.5
"""Probability threshold at which recall and false positive rate are judged."""

TARGET_FPRS = (1e-2, 1e-3, 1e-4)
"""False positive rates for which thresholds are chosen on validation."""

SEARCH_FPRS = (*TARGET_FPRS, 1e-5)
"""False positive rates at which recall is judged on a uniform draw: a search runs at the lowest."""

LEVELS: Mapping[str, Mapping[str, float]] = {
    "mvp": {"min_recall": 0.75, "min_auc": 0.90, "max_fpr": 0.10, "max_ece": 0.10, "max_ece_positive": 0.10},
    "publication": {"min_recall": 0.85},
}
"""Limits of each level: tier-A recall at p = 0.5, tier-A AUC, FPR of the worst confuser class, and the excess of
calibration errors over what a calibrated model would show, over all rows and over the lenses. Metrics that a level does
not list are reported, not judged."""

MOST_CLOSURE, CLOSURE_LENSES = 0.10, 100
"""Greatest difference of recall and mean p_det of real lenses, and the fewest lenses that tell."""

MOST_ARTEFACT_AUC, MOST_ARC_AUC = 0.60, 0.90
"""Greatest AUC by which artefacts, and arcs, of injections may be told from those of real lenses."""

MOST_ARC_OFFSET_PX = 1.0
"""Greatest mean offset of injected arcs from their galaxies along either axis."""

MOST_BRIGHTER = 0.02
"""Greatest share of injections, of Einstein radii below 1 arcsec, with more light within 1.5 arcsec than was added."""

REACHED, NOT_TOLD, MISSED = "reached", "not told", "missed"
"""What is known of a criterion: its interval lies wholly on the right side of the limit, on both sides, or wholly on
the wrong one."""


def word(low: float | None, high: float | None, limit: float, *, least: bool) -> str:
    """What an interval says of a limit on a value; an end that is None is open.

    Parameters
    ----------
    least : bool
        Whether the limit is the least allowed value, or the greatest.
    """
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    inside, outside = (low >= limit, high < limit) if least else (high <= limit, low > limit)
    return REACHED if inside else MISSED if outside else NOT_TOLD


def of_all(words: Iterable[str]) -> str:
    """A level: missed if a criterion is, reached if all are."""
    found = set(words)
    return next((one for one in (MISSED, NOT_TOLD) if one in found), REACHED)


COLLAPSED_BELOW = 1e-3
"""A model whose logits scatter less than this has collapsed: every galaxy gets the same score."""
