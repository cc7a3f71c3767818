"""When training stops: the first best epoch counts, and chance or a fall far below the best is a red flag."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lensctl.learning.training.early_stopping import judge_epoch
from lensctl.rules.split import CALIBRATE, calibrates, for_thresholds
from lensctl.stats import metrics, thresholds


def history(*aucs: float, train: float | None = None) -> list[dict[str, float | None]]:
    return [{"epoch": i, "val_auc": auc, "train_auc": train} for i, auc in enumerate(aucs, start=1)]


def test_before_the_first_epoch_there_is_nothing_to_say():
    verdict = judge_epoch([], 30)
    assert (verdict.best, verdict.stale, verdict.warning, verdict.flag) == (0, 0, "", None)


def test_the_best_epoch_is_the_first_of_the_highest():
    assert judge_epoch(history(0.8, 0.9, 0.9, 0.85), 30).best == 2


def test_epochs_without_a_new_best_count_and_a_new_best_starts_again():
    assert judge_epoch(history(0.8, 0.79, 0.8), 30).stale == 2
    assert judge_epoch(history(0.8, 0.79, 0.81), 30).stale == 0


def test_a_gap_between_train_and_val_warns_and_counts_even_at_a_new_best():
    verdict = judge_epoch(history(0.80, 0.85, train=0.95), 30)
    assert verdict.stale == 2
    assert "0.100 above val AUC" in verdict.warning
    assert judge_epoch(history(0.80, 0.85, train=0.89), 30).warning == ""


@pytest.mark.parametrize(
    ("auc", "flagged"),
    [(0.5, True), (0.529, True), (0.471, True), (float("nan"), True), (0.54, False), (0.46, False)],
)
def test_a_val_auc_near_chance_after_a_fifth_of_the_epochs_is_a_red_flag(auc, flagged):
    assert (judge_epoch(history(*[auc] * 6), 30).flag is not None) == flagged
    assert judge_epoch(history(*[auc] * 5), 30).flag is None


def test_three_epochs_far_below_the_best_are_a_red_flag():
    assert judge_epoch(history(0.9, 0.79, 0.79), 30).flag is None
    assert judge_epoch(history(0.9, 0.79, 0.85, 0.79, 0.79), 30).flag is None
    flag = judge_epoch(history(0.9, 0.79, 0.79, 0.79), 30).flag
    assert flag is not None
    assert "0.900, epoch 1" in str(flag)


EPOCHS, TARGET_FPR = 30, 0.01


def epochs_of_val(random: np.random.Generator, lenses: int = 400, others: int = 4000):
    """Labels, pixels, and the logits of 30 epochs, all equally good: half of what a non-lens scores is its own, the
    rest changes from epoch to epoch, a fifth of it alike in a pixel. Non-lenses are standard normal in each."""
    count = lenses + others
    label, pixel = np.arange(count) < lenses, random.integers(0, others // 4, count)
    own, logits = random.normal(size=count), []
    for _ in range(EPOCHS):
        of_pixel, rest = random.normal(size=others // 4)[pixel], random.normal(size=count)
        luck = np.sqrt(0.2) * of_pixel + np.sqrt(0.8) * rest
        logits.append(3.0 * label + np.sqrt(0.5) * own + np.sqrt(0.5) * luck)
    return label, pixel, logits


def true_rate(label, pixel, logits, calibrate_share: float) -> float:
    """True false positive rate, over the nominal one, of the threshold in the epoch that early stopping chooses."""
    role = np.where(calibrates(pixel, calibrate_share), CALIBRATE, "val").astype(object)
    stops, sets = role != CALIBRATE, for_thresholds(role)
    best = judge_epoch(history(*(metrics.roc_auc(label[stops], logit[stops]) for logit in logits)), EPOCHS).best
    chosen = thresholds.choose(label[sets], logits[best - 1][sets], [TARGET_FPR])
    return float(norm.sf(chosen[1].logit)) / TARGET_FPR


@pytest.mark.parametrize("seeds", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_thresholds_of_rows_that_stopped_no_training_hold_their_rate_and_those_of_all_of_val_do_not(seeds):
    """The best of many epochs is also the one that was lucky with the non-lenses of val."""
    rates = {0.5: [], 0.0: []}
    for seed in range(seeds):
        val = epochs_of_val(np.random.default_rng(seed))
        for share, found in rates.items():
            found.append(true_rate(*val, share))
    assert abs(np.mean(rates[0.5]) - 1) < 0.01 + 0.5 / np.sqrt(seeds)
    assert 1.05 < np.mean(rates[0.0]) < 1.13
