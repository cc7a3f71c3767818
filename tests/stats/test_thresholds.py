"""A threshold has the false positive rate that it says it may have; a rate that is not resolved has none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lensctl.stats import thresholds
from lensctl.stats.shares import clopper_pearson

NAMES = ["p=0.5", "fpr=0.01", "fpr=0.001", "fpr=0.0001"]


def validation(random, others, lenses=50):
    label = np.arange(lenses + others) < lenses
    return label, np.where(label, 3.0, 0.0) + random.normal(size=lenses + others)


@pytest.mark.parametrize(
    ("others", "given"),
    [(99, ["p=0.5"]), (500, NAMES[:2]), (999, NAMES[:2]), (1000, NAMES[:3]), (9999, NAMES[:3]), (10_000, NAMES)],
)
def test_a_target_has_a_threshold_where_at_least_one_false_positive_is_expected(others, given):
    label, logit = validation(np.random.default_rng(0), others)
    chosen = thresholds.choose(label, logit)
    assert [one.name for one in chosen if one.logit is not None and one.name != thresholds.ABOVE_ALL] == given
    (*_, last) = chosen
    assert (last.name == thresholds.ABOVE_ALL) == (given != NAMES)
    assert [one.name for one in chosen][:4] == NAMES
    if given != NAMES:
        assert last.false == 0
        assert last.text.startswith(f"0 of {others:,}: below ")
        assert (
            chosen[3].text == f"not resolved: {1e-4 * others:.2g} false positives are expected of {others:,} non-lenses"
        )


@pytest.mark.parametrize("others", [500, 2000, 20_000])
@pytest.mark.parametrize("seeds", [200, pytest.param(3000, marks=pytest.mark.soak)])
def test_the_true_rate_of_a_threshold_lies_where_its_counts_say(others, seeds):
    """From 500 negatives `fpr=0.0001` had a true rate 18 times larger."""
    held: dict[str, list[bool]] = {}
    for seed in range(seeds // (4 if others > 9999 else 1)):
        for one in thresholds.choose(*validation(np.random.default_rng(seed), others)):
            if one.logit is not None:
                truth = norm.sf(one.logit)
                low, high = clopper_pearson(one.false, one.others)
                held.setdefault(one.name, []).append(low <= truth <= high)
                if one.target_fpr is not None and one.target_fpr * others >= 10:
                    assert truth < 3 * one.target_fpr
    for name, each in held.items():
        assert np.mean(each) >= 0.93 - 1.5 * np.sqrt(0.06 / len(each)), name


def test_above_all_non_lenses_lies_above_all_of_them():
    label, logit = validation(np.random.default_rng(1), 500)
    last = thresholds.choose(label, logit)[-1]
    assert last.logit > logit[~label].max()
    assert last.found == (logit[label] >= last.logit).sum()
    assert last.text == "0 of 500: below 0.0060 at 95 %"


def test_format_1_had_a_threshold_for_every_target():
    """Frozen folders of 0.1.0 verify by it."""
    label, logit = validation(np.random.default_rng(1), 500)
    old = thresholds.choose(label, logit, by_format=1)
    assert [one.name for one in old] == NAMES
    assert old[2].logit == old[3].logit > logit[~label].max()
    assert old[:2] == thresholds.choose(label, logit)[:2]


def test_one_class_has_no_targets_or_finds_nothing():
    alone = thresholds.choose(np.ones(5), np.arange(5.0))
    assert [one.name for one in alone] == ["p=0.5"]
    assert alone[0].text == ""
    none = thresholds.choose(np.zeros(500), np.arange(500.0))
    assert [(one.name, one.lenses) for one in none if one.logit is not None][1:] == [
        ("fpr=0.01", 0),
        (thresholds.ABOVE_ALL, 0),
    ]
