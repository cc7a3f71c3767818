"""Key metrics and their names, for comparing two evaluations or metrics before and after grading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lensctl.evaluate import operating_point, ranking
from lensctl.evaluate.scored import Scored

AUC, TIER_A_AUC = "AUC", "tier-A AUC"
RECALL, TIER_A_RECALL, FPR = "recall at p = 0.5", "tier-A recall at p = 0.5", "FPR at p = 0.5"


def recall_at(fpr: float) -> str:
    """Name of the recall at a false positive rate."""
    return f"recall at FPR {fpr:g}"


def fpr_of(category: str) -> str:
    """Name of the false positive rate of a confuser category."""
    return f"FPR of {category}"


def of(part: Scored, ranks: Mapping[str, Any], tier_a_auc: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Metrics by name, as plain JSON values.

    Parameters
    ----------
    part : Scored
        Rows of one split.
    ranks : mapping
        Their `ranking.figures`.
    tier_a_auc : mapping
        AUC of their `ranking.tier_a`.
    """
    rates = {
        fpr_of(name): rate for name, rate in operating_point.fpr_by_category(part).items() if rate.value is not None
    }
    return {
        AUC: ranks["auc"],
        TIER_A_AUC: dict(tier_a_auc),
        **{recall_at(point["fpr"]): point for point in ranks["recall_at_fpr"]},
        "TPR0": ranks["tpr0"],
        "TPR10": ranks["tpr10"],
        RECALL: operating_point.recall(part).as_dict(),
        TIER_A_RECALL: operating_point.recall(part, "A").as_dict(),
        FPR: operating_point.fpr(part).as_dict(),
        **{name: rate.as_dict() for name, rate in rates.items()},
    }


def measured(part: Scored, rounds: int, seed: int) -> dict[str, dict[str, Any]]:
    """The same, computed from the rows."""
    tier_a_auc = ranking.auc(ranking.tier_a(part), rounds, seed).as_dict()
    return of(part, ranking.figures(part, rounds, seed), tier_a_auc)
