"""When training stops: the first best epoch counts, and chance or a fall far below the best is a red flag."""

from __future__ import annotations

import pytest

from lensctl.learning.training.early_stopping import judge_epoch


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
