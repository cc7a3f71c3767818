"""Early stopping and detection of failed training, from the metrics alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lensctl.rules.errors import InputError

CHANCE, CHANCE_MARGIN = 0.5, 0.03
COLLAPSE, COLLAPSE_EPOCHS = 0.10, 3
OVERFIT = 0.05

History = Sequence[Mapping[str, Any]]
"""Metrics of each epoch so far, in order: `epoch` from 1, `val_auc`, `train_auc`, and the rest."""


class RedFlag(InputError):
    """Training failed; the last good checkpoint is kept."""


@dataclass(frozen=True)
class Verdict:
    """State of a run after the epochs so far.

    `best` is the epoch of the highest validation AUC (the first of equals; 0 before the first), `stale` the number
    of epochs that count towards early stopping, `warning` a warning about the last epoch, and `flag` the reason to
    stop a failed run.
    """

    best: int = 0
    stale: int = 0
    warning: str = ""
    flag: RedFlag | None = None


def judge_epoch(history: History, epochs: int) -> Verdict:
    """Judge a run of `epochs` epochs from the epochs so far.

    An epoch counts towards early stopping if its validation AUC is not a new best, or its training AUC exceeds
    its validation AUC by more than 0.05; a new best without such a gap resets the count. Training has failed if
    the validation AUC is within 0.03 of 0.5 after a fifth of the epochs, or 0.10 below its best for three epochs
    in a row.
    """
    best, best_auc, stale, low = 0, -math.inf, 0, 0
    warning, flag = "", None
    for metrics in history:
        auc, epoch = metrics["val_auc"], metrics["epoch"]
        gap = metrics["train_auc"] - auc if metrics["train_auc"] is not None else 0.0
        improved = auc > best_auc
        if improved:
            best, best_auc = epoch, auc
        stale = 0 if improved and gap <= OVERFIT else stale + 1
        low = low + 1 if auc < best_auc - COLLAPSE else 0
        warning = ""
        if gap > OVERFIT:
            warning = f"train AUC is {gap:.3f} above val AUC: the network is overfitting the training set"
        if not abs(auc - CHANCE) >= CHANCE_MARGIN and 5 * epoch >= epochs:
            flag = RedFlag(
                f"training stopped: val AUC is {auc:.3f} after epoch {epoch} of {epochs}: no better than chance",
                "check `lensctl gate pixels`, the normalisation and the learning rate",
            )
        elif low >= COLLAPSE_EPOCHS:
            flag = RedFlag(
                f"training stopped: val AUC ({auc:.3f}) is more than 0.10 below its best "
                f"({best_auc:.3f}, epoch {best}) for {low} epochs",
                "train with a lower --lr",
            )
    return Verdict(best, stale, warning, flag)
