"""Metrics of an epoch, and checks for non-finite values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from lensctl.learning.networks.predict import PixelsToLogit, exact_arithmetic
from lensctl.learning.training.early_stopping import RedFlag
from lensctl.stats import calibration, metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.learning.data.dataloader import Batch, Feed
    from lensctl.learning.networks.checkpoint import ModelCard
    from lensctl.learning.training.distributed import Team
    from lensctl.learning.training.learner import Learner, StepResult
    from lensctl.learning.training.run_folder import Position

_LOWER = "train with a lower --lr, or look for bad pixels with `lensctl gate pixels`"


def epoch_metrics(
    learner: Learner, position: Position, label: NDArray[np.float32], validation: Feed, card: ModelCard, batch: int
) -> dict[str, float | None]:
    """Metrics of an epoch: of training during the epoch, with augmentation, and of validation after it.

    Validation rows are split among the processes, and all processes get the metrics of all rows.
    """
    team = learner.team
    train_logit = torch.cat(position.logits).cpu().double().numpy()
    network = PixelsToLogit(learner.judged, card.normalisation, card.crop).eval()
    val = torch.zeros(len(validation.rows), device=learner.device)
    with torch.inference_mode(), exact_arithmetic():
        for part in validation.batches(validation.in_order(batch)[team.rank :: team.size]):
            val[torch.from_numpy(part.which).to(val.device)] = network(part.cutouts)
    val = team.total(val).cpu().double()
    truth, logit = validation.rows.label, val.numpy()
    if not np.isfinite(logit).all():
        first = validation.rows.galaxy_id[~np.isfinite(logit)][0]
        raise RedFlag(f"training stopped: the network returns NaN in validation, first for {first}", _LOWER)
    target, weight = (torch.from_numpy(v).double() for v in (validation.rows.target, validation.rows.weight))
    val_loss = nn.functional.binary_cross_entropy_with_logits(val, target, weight)
    curve = metrics.curve(truth, logit)
    return {
        "train_loss": float(torch.cat(position.losses).double().mean()),
        "val_loss": float(val_loss),
        "val_auc": metrics.area(curve),
        "val_precision_at_recall_90": metrics.precision_at_recall(curve, 0.9),
        "val_recall_at_precision_90": metrics.recall_at_precision(curve, 0.9),
        "val_ece": calibration.ece(truth, torch.sigmoid(val).numpy()),
        "train_auc": metrics.roc_auc(label, train_logit),
    }


def refuse_unsound(learner: Learner, epoch: int, number: int) -> None:
    """Raise RedFlag if a weight is not finite, before it is saved in a checkpoint."""
    if not learner.weights_finite:
        raise RedFlag(f"training stopped after epoch {epoch + 1}, batch {number + 1}: weights are not finite", _LOWER)


def refuse_nan(step: tuple[int, Batch, StepResult] | None, epoch: int, training: Feed, team: Team) -> None:
    """Raise RedFlag if a step's pixels, loss or gradient are not finite, naming the galaxies that may be the cause.

    Parameters
    ----------
    step : batch number in the epoch, this process's batch, its result
    """
    if step is None or bool(step[1].finite & step[2].finite):
        return
    number, batch, result = step
    where = f"in epoch {epoch + 1}, batch {number + 1}"
    brightest = batch.cutouts.float().abs().amax(dim=(1, 2, 3))
    if not batch.finite:
        bad = training.rows.galaxy_id[batch.which[~torch.isfinite(brightest).cpu().numpy()]]
        raise RedFlag(
            f"training stopped {where}: NaN pixels read from the store for {', '.join(bad[:5])}",
            "the store changed since it was checked; make these cutouts again",
        )
    which = team.gather(torch.from_numpy(batch.which).to(brightest.device)).cpu().numpy()
    flux = team.gather(brightest).cpu().numpy()
    first = training.rows.galaxy_id[which[np.argsort(-flux)[:5]]]
    raise RedFlag(
        f"training stopped {where}: loss or gradient is not finite (loss {float(result.loss):g}); the brightest pixels "
        f"of the batch belong to {', '.join(first)} (up to {flux.max():.3g} nanomaggies)",
        _LOWER,
    )
