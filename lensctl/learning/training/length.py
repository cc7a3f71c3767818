"""How long a run is: in epochs, steps and cutouts seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

EPOCHS = 30
"""Validations of a run whose number of epochs is not given."""


@dataclass(frozen=True)
class Length:
    """A run of `epochs` epochs, each of `steps` steps of `batch` cutouts, drawn from `samples` places in its order."""

    epochs: int
    samples: int
    batch: int

    @property
    def steps(self) -> int:
        """Steps of an epoch; an incomplete last batch is dropped."""
        return self.samples // self.batch

    @property
    def all_steps(self) -> int:
        """Steps of the run."""
        return self.epochs * self.steps

    @property
    def cutouts_seen(self) -> int:
        """Cutouts that the network sees in the run, each as often as it is shown."""
        return self.all_steps * self.batch

    def as_dict(self) -> dict[str, int]:
        """What run.json says of it."""
        return {
            "epochs": self.epochs,
            "steps_per_epoch": self.steps,
            "steps": self.all_steps,
            "cutouts_seen": self.cutouts_seen,
        }


def length_of(
    rows: int,
    batch_size: int,
    *,
    epochs: int | None = None,
    cutouts_seen: int | None = None,
    samples_per_epoch: int | None = None,
    least_steps: int = 0,
) -> Length:
    """The length of a run.

    Parameters
    ----------
    rows : int
        Of training.
    batch_size : int
        Cutouts of a step, if there are as many.
    epochs : int, optional
        Passes over the rows, and validations; EPOCHS if None.
    cutouts_seen : int, optional
        In the whole run, shared out among the epochs; rows repeat within an epoch where there are fewer.
    samples_per_epoch : int, optional
        The same for one epoch.
    least_steps : int
        Where none of the three is given: epochs are as much longer than a pass as the run needs to have so many steps.
        A small set is then seen more often, and validated as seldom.
    """
    count = epochs or EPOCHS
    if samples_per_epoch is not None:
        return Length(count, samples_per_epoch, min(batch_size, samples_per_epoch))
    batch = min(batch_size, rows)
    if cutouts_seen is not None:
        return Length(count, max(batch, math.ceil(cutouts_seen / count)), batch)
    floor = 0 if epochs is not None else math.ceil(least_steps / count) * batch
    return Length(count, max(rows, floor), batch)
