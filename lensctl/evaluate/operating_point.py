"""Metrics at a threshold: recall by tier, false positives by confuser category, thresholds from validation."""

from __future__ import annotations

from typing import Any

from lensctl.evaluate.scored import Scored
from lensctl.rules.acceptance import P_OPERATING
from lensctl.stats.intervals import FEW, Estimate, wilson
from lensctl.stats.thresholds import Threshold


def share_taken(part: Scored, logit: float = 0.0) -> Estimate:
    """Fraction of rows at or above a threshold, with Wilson's interval."""
    return wilson(int((part.logit >= logit).sum()), len(part))


def recall(part: Scored, tier: str | None = None, logit: float = 0.0) -> Estimate:
    """Recall of lenses (of a tier); p = 0.5 is logit 0."""
    wanted = part.is_lens if tier is None else part.is_lens & (part.tier == tier)
    return share_taken(part.where(wanted), logit)


def fpr(part: Scored, logit: float = 0.0) -> Estimate:
    """False positive rate."""
    return share_taken(part.where(~part.is_lens), logit)


def fpr_by_category(part: Scored) -> dict[str, Estimate]:
    """False positive rate at p = 0.5 of each confuser category."""
    return {name: share_taken(part.where(part.category == name)) for name in part.survey.confusers}


def worst(rates: dict[str, Estimate]) -> tuple[str | None, Estimate]:
    """The category with the highest rate, among those with ten or more galaxies if there are any."""
    known = {name: rate for name, rate in rates.items() if rate.value is not None}
    large = {name: rate for name, rate in known.items() if rate.n >= FEW} or known
    if not large:
        return None, Estimate(None)
    name = max(large, key=lambda name: (large[name].value or 0.0, large[name].n))
    return name, large[name]


def thresholds(chosen: tuple[Threshold, ...], test: Scored) -> list[dict[str, Any]]:
    """Thresholds chosen on validation, with recall and FPR on validation and test."""
    rows = []
    for threshold in chosen:
        own = {"name": threshold.name, "target_fpr": threshold.target_fpr, "logit": threshold.logit, "p": threshold.p}
        val = {
            "recall": wilson(threshold.found, threshold.lenses).as_dict(),
            "fpr": wilson(threshold.false, threshold.others).as_dict(),
        }
        on_test = {
            "recall": recall(test, logit=threshold.logit).as_dict(),
            "tier_a_recall": recall(test, "A", threshold.logit).as_dict(),
            "fpr": fpr(test, threshold.logit).as_dict(),
        }
        rows.append({**own, "val": val, "test": on_test})
    return rows


def at_p_half(part: Scored) -> dict[str, Any]:
    """Recall by tier and false positive rate by pool at p = 0.5."""
    return {
        "p": P_OPERATING,
        "recall": recall(part).as_dict(),
        "recall_by_tier": {tier: recall(part, tier).as_dict() for tier in ("A", "B")},
        "fpr": fpr(part).as_dict(),
        "fpr_by_pool": {pool: share_taken(part.where(part.tier == pool)).as_dict() for pool in ("N1", "N2")},
    }
