"""Metrics for the sky: a sample weighted to represent the galaxies it was drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np

from lensctl.evaluate import calibrating, ranking
from lensctl.evaluate.scored import Scored
from lensctl.rules.errors import InputError
from lensctl.stats.intervals import Estimate
from lensctl.stats.shares import purity_at, share_of_rows, weighted_share
from lensctl.stats.thresholds import Threshold


def refuse(prevalence: float) -> None:
    """Raise InputError for a prevalence that is none."""
    if not 0 < prevalence < 1:
        raise InputError(f"--prevalence {prevalence:g} is not between 0 and 1", "one lens in 10,000 galaxies is 1e-4")


def figures(
    val: Scored | None,
    test: Scored,
    chosen: tuple[Threshold, ...],
    prevalence: float,
    kind: str,
    rounds: int,
    seed: int,
) -> dict[str, Any]:
    """False positive rate, purity and calibration, as sampled and on a sky with the given prevalence of lenses.

    Calibration is fitted on validation, where there is one, with sampling weights and shifted to the prevalence by
    Bayes' rule.
    """
    refuse(prevalence)
    scaling = None if val is None else calibrating.fit(val.is_lens, val.logit, kind, val.weight)
    calibrated: dict[str, Any] | None = None
    if scaling is not None and val is not None:
        prior = float(val.weight[val.is_lens].sum() / val.weight.sum())
        moved = scaling.moved(prior, prevalence)
        weight = _sky_weight(test, prevalence)
        raw = calibrating.errors(test, test.p, rounds, seed, weight)
        after = calibrating.errors(test, moved.p(test.logit), rounds, seed, weight)
        calibrated = {
            **vars(moved),
            "prior_of_val": prior,
            "ece_raw": calibrating.as_dict(raw),
            "ece_calibrated": calibrating.as_dict(after),
        }
    return {
        "prevalence": prevalence,
        "weighted": "sampling_weight" in test.table.column_names,
        "sampling_ratio": sampling_ratio(test),
        "at_thresholds": [_at_threshold(test, threshold, prevalence) for threshold in chosen],
        "purity_at_completeness": ranking.purities(test, prevalence),
        "calibration": calibrated,
    }


def sampling_ratio(part: Scored) -> float | None:
    """Non-lenses per lens among the rows."""
    lenses = int(part.is_lens.sum())
    return (len(part) - lenses) / lenses if lenses else None


def _sky_weight(part: Scored, prevalence: float) -> np.ndarray:
    """Weights for which lenses are a fraction `prevalence` of all; mean 1."""
    lenses, negatives = part.weight[part.is_lens].sum(), part.weight[~part.is_lens].sum()
    scaled = np.where(part.is_lens, prevalence / max(lenses, 1e-300), (1 - prevalence) / max(negatives, 1e-300))
    weight: np.ndarray = part.weight * scaled * len(part)
    return weight


def _at_threshold(test: Scored, threshold: Threshold, prevalence: float) -> dict[str, Any]:
    """False positive rate and purity at a threshold, raw and weighted."""
    if threshold.logit is None:
        nothing = Estimate(None, why=threshold.text).as_dict()
        names = ("fpr_raw", "fpr_weighted", "purity_raw", "purity_at_prevalence")
        return {"name": threshold.name, **dict.fromkeys(names, nothing)}
    taken, lens = test.logit >= threshold.logit, test.is_lens
    recall = share_of_rows(taken[lens], test.pixel[lens])
    rate = weighted_share(taken[~lens], test.weight[~lens], test.pixel[~lens])
    return {
        "name": threshold.name,
        "fpr_raw": share_of_rows(taken[~lens], test.pixel[~lens]).as_dict(),
        "fpr_weighted": rate.as_dict(),
        "purity_raw": share_of_rows(lens[taken], test.pixel[taken]).as_dict(),
        "purity_at_prevalence": purity_at(prevalence, recall, rate).as_dict(),
    }
