"""What people are told as a training starts and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lensctl.learning.data.row_selection import RowSelection
    from lensctl.learning.networks.initial_weights import Initial
    from lensctl.learning.training.length import Length
    from lensctl.learning.training.settings import TrainConfig


def about(selection: RowSelection, place: str, config: TrainConfig, initial: Initial | None) -> list[str]:
    """What people are told before the first step."""
    length = config.length(len(selection.train))
    times = length.cutouts_seen / len(selection.train)
    each = f", for each of {config.ensemble} networks" if config.ensemble > 1 else ""
    lines = [
        f"{_summary(selection)}; {place}",
        f"{length.all_steps:,} steps of {length.batch} cutouts in {length.epochs} epochs: "
        f"{length.cutouts_seen:,} cutouts seen, each row about {times:.3g} times{each}",
    ]
    return [*lines, *(initial.said() if initial else ())]


def _summary(selection: RowSelection) -> str:
    parts = [
        f"{name}: {counts['positives']:,} lenses and {counts['negatives']:,} non-lenses"
        for name, counts in (("train", selection.train.counts()), ("val", selection.val.counts()))
    ]
    if selection.calibrate:
        parts.append(f"{selection.calibrate:,} more rows of val are kept for thresholds")
    return "; ".join([*parts, *(f"{n:,} left out ({why})" for why, n in sorted(selection.left_out.items()))])


def ended(reason: str, best: int, length: Length) -> str:
    """Why a network's training ended, and that more would help where its last epoch was its best."""
    said = f"{reason}; best val AUC in epoch {best}"
    if best < length.epochs or best == 1:
        return said
    return f"{said}, the last: a longer training may well be better (--cutouts-seen {2 * length.cutouts_seen})"
