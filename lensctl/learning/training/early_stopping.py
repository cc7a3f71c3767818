"""When a run has gone wrong, and when it has gone far enough: judged from its metrics alone."""

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
    """A run that should not go on; its last good checkpoint is kept."""


@dataclass(frozen=True)
class Verdict:
    """What the epochs so far say.

    `best` is the epoch of the highest validation AUC (the first of equals; 0 before the first), `stale` the number
    of epochs that count towards early stopping, `warning` what a person should know of the last epoch, and `flag`
    why the run should not go on.
    """

    best: int = 0
    stale: int = 0
    warning: str = ""
    flag: RedFlag | None = None


def judge_epoch(history: History, epochs: int) -> Verdict:
    """Judge a run of `epochs` by its epochs so far.

    An epoch counts towards early stopping where its validation AUC is no new best, or its training AUC exceeds
    its validation AUC by more than 0.05; a new best without such a gap starts the count again. It is a red flag
    where the validation AUC is within 0.03 of 0.5 once a fifth of the epochs are done, or 0.10 below its best for
    three epochs on end.
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
            warning = f"train AUC is {gap:.3f} above val AUC: the network learns the training set by heart"
        if abs(auc - CHANCE) < CHANCE_MARGIN and 5 * epoch >= epochs:
            flag = RedFlag(
                f"training stopped: val AUC is {auc:.3f} after epoch {epoch} of {epochs}: nothing was learned",
                "look at `lensctl gate pixels`, the normalisation and the learning rate",
            )
        elif low >= COLLAPSE_EPOCHS:
            flag = RedFlag(
                f"training stopped: val AUC ({auc:.3f}) is more than 0.10 below its best "
                f"({best_auc:.3f}, epoch {best}) for {low} epochs",
                "train with a lower --lr",
            )
    return Verdict(best, stale, warning, flag)
