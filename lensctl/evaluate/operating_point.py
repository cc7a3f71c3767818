"""Metrics at a threshold: recall by tier, false positives by confuser category, thresholds from validation."""

from __future__ import annotations

from typing import Any

from lensctl.evaluate.scored import Scored
from lensctl.rules.acceptance import P_OPERATING
from lensctl.stats.intervals import Estimate
from lensctl.stats.shares import share_of_rows, worst_of
from lensctl.stats.thresholds import Threshold


def share_taken(part: Scored, logit: float = 0.0) -> Estimate:
    """Fraction of rows at or above a threshold, with an interval that knows their pixels."""
    return share_of_rows(part.logit >= logit, part.pixel)


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


def worst_category(part: Scored) -> tuple[str | None, Estimate]:
    """The category with the highest rate, with the simultaneous interval of the highest of all rates."""
    return worst_of(
        {
            name: (part.logit[part.category == name] >= 0, part.pixel[part.category == name])
            for name in part.survey.confusers
        }
    )


def thresholds(chosen: tuple[Threshold, ...], val: Scored | None, test: Scored) -> list[dict[str, Any]]:
    """Thresholds with recall and FPR on test, and on the validation rows that they were chosen from, if at hand."""
    rows = []
    for threshold in chosen:
        own = {"name": threshold.name, "target_fpr": threshold.target_fpr, "logit": threshold.logit, "p": threshold.p}
        parts = {"val": None if val is None else _at(threshold, val), "test": _at(threshold, test)}
        rows.append({**own, "text": threshold.text, **parts})
    return rows


def _at(threshold: Threshold, part: Scored) -> dict[str, Any]:
    if threshold.logit is None:
        nothing = Estimate(None, why=threshold.text).as_dict()
        return {"recall": nothing, "tier_a_recall": nothing, "fpr": nothing}
    return {
        "recall": recall(part, logit=threshold.logit).as_dict(),
        "tier_a_recall": recall(part, "A", threshold.logit).as_dict(),
        "fpr": fpr(part, threshold.logit).as_dict(),
    }


def at_p_half(part: Scored) -> dict[str, Any]:
    """Recall by tier and false positive rate by pool at p = 0.5."""
    return {
        "p": P_OPERATING,
        "recall": recall(part).as_dict(),
        "recall_by_tier": {tier: recall(part, tier).as_dict() for tier in ("A", "B")},
        "fpr": fpr(part).as_dict(),
        "fpr_by_pool": {pool: share_taken(part.where(part.tier == pool)).as_dict() for pool in ("N1", "N2")},
    }
