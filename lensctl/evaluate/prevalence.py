"""Metrics for the sky: a sample weighted to represent the galaxies it was drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np

from lensctl.evaluate import calibrating, ranking
from lensctl.evaluate.scored import Scored
from lensctl.rules.errors import InputError
from lensctl.stats.intervals import Estimate, Resampling, percentile_interval, wilson
from lensctl.stats.thresholds import Threshold


def figures(
    val: Scored, test: Scored, chosen: tuple[Threshold, ...], prevalence: float, kind: str, rounds: int, seed: int
) -> dict[str, Any]:
    """False positive rate, purity and calibration, as sampled and on a sky with the given prevalence of lenses.

    Calibration is fitted on validation with sampling weights and shifted to the prevalence by Bayes' rule.
    """
    if not 0 < prevalence < 1:
        raise InputError(f"--prevalence {prevalence:g} is not between 0 and 1", "one lens in 10,000 galaxies is 1e-4")
    rows = _at_thresholds(test, chosen, prevalence, rounds, seed)
    scaling = calibrating.fit(val, kind, val.weight)
    calibrated: dict[str, Any] | None = None
    if scaling is not None:
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
        "at_thresholds": rows,
        "purity_at_completeness": ranking.purity_at_completeness(
            test, Resampling(test.pixel, rounds, seed), prevalence
        ),
        "calibration": calibrated,
    }


def _sky_weight(part: Scored, prevalence: float) -> np.ndarray:
    """Weights for which lenses are a fraction `prevalence` of all; mean 1."""
    lenses, negatives = part.weight[part.is_lens].sum(), part.weight[~part.is_lens].sum()
    scaled = np.where(part.is_lens, prevalence / max(lenses, 1e-300), (1 - prevalence) / max(negatives, 1e-300))
    weight: np.ndarray = part.weight * scaled * len(part)
    return weight


def _at_thresholds(
    test: Scored, chosen: tuple[Threshold, ...], prevalence: float, rounds: int, seed: int
) -> list[dict[str, Any]]:
    """False positive rate and purity at each threshold, raw and weighted, with bootstrap intervals over pixels."""
    negatives, lenses = ~test.is_lens, test.is_lens
    taken = [test.logit >= threshold.logit for threshold in chosen]
    columns = [test.weight * negatives, lenses * 1.0]
    columns += [test.weight * negatives * mask for mask in taken] + [lenses * mask * 1.0 for mask in taken]
    values = np.stack(columns, axis=1)
    samples = Resampling(test.pixel, rounds, seed).sums(values)
    rows = []
    for k, (threshold, mask) in enumerate(zip(chosen, taken, strict=True)):
        false, found = int((mask & negatives).sum()), int((mask & lenses).sum())
        both = [_rates(totals, k, len(chosen), prevalence) for totals in (values.sum(axis=0)[None, :], samples)]
        (rate, purity), (rate_samples, purity_samples) = both
        n = int(negatives.sum())
        rate_range, purity_range = percentile_interval(rate_samples), percentile_interval(purity_samples)
        if not false and n:  # the bootstrap interval would have zero width
            high = _zero_count_limit(test.weight[negatives])
            rate_range = (0.0, high)
            if found:
                recall = found / lenses.sum()
                purity_range = (prevalence * recall / (prevalence * recall + (1 - prevalence) * high), 1.0)
        rows.append(
            {
                "name": threshold.name,
                "fpr_raw": wilson(false, n).as_dict(),
                "fpr_weighted": Estimate(_one(rate), *rate_range, n, false).as_dict(),
                "purity_raw": wilson(found, found + false).as_dict(),
                "purity_at_prevalence": Estimate(
                    _one(purity), *purity_range, found + false, min(found, false)
                ).as_dict(),
            }
        )
    return rows


def _zero_count_limit(weight: np.ndarray) -> float:
    """Upper end of Wilson's interval for zero events among weighted rows, by effective sample size (Kish 1965)."""
    effective = max(1, int(weight.sum() ** 2 / (weight**2).sum()))
    return float(wilson(0, effective).high or 0.0)


def _rates(totals: np.ndarray, k: int, count: int, prevalence: float) -> tuple[np.ndarray, np.ndarray]:
    """Weighted false positive rate and purity at a prevalence, from rows of sums; NaN where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = totals[:, 2 + k] / totals[:, 0]
        recall = totals[:, 2 + count + k] / totals[:, 1]
        purity = prevalence * recall / (prevalence * recall + (1 - prevalence) * rate)
    return rate, purity


def _one(values: np.ndarray) -> float | None:
    return float(values[0]) if np.isfinite(values[0]) else None
