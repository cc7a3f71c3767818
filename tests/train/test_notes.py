"""What people are told at the end: that more would help, where the last epoch was the best."""

from __future__ import annotations

import pytest

from lensctl.learning.training.length import Length
from lensctl.train.notes import ended


@pytest.mark.parametrize(("best", "more"), [(10, True), (9, False), (1, False)])
def test_where_the_last_epoch_was_the_best_more_would_help(best, more):
    said = ended("all epochs done", best, Length(10, 640, 64))
    assert said.startswith(f"all epochs done; best val AUC in epoch {best}")
    assert said.endswith(", the last: a longer training may well be better (--cutouts-seen 12800)") is more


def test_a_run_that_stopped_early_is_not_told_to_be_longer():
    assert ended("no gain for 8 epochs", 2, Length(10, 640, 64)) == "no gain for 8 epochs; best val AUC in epoch 2"
