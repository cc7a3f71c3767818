"""Settings that determine a run's weights (TrainConfig), and those that only affect how it runs (Resources)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lensctl.learning.data.augment import Augmentation
from lensctl.learning.data.normalise import KINDS
from lensctl.learning.data.row_selection import Fold
from lensctl.learning.networks.architectures import ARCHITECTURES, LEAST_CROP
from lensctl.learning.training.length import EPOCHS, Length, length_of
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError

BALANCED, AS_IN_DATA = "balanced", "data"
WORDS: Mapping[str, str] = {"pos_weight": BALANCED, "positive_share": AS_IN_DATA}
"""Settings that are a number or this word."""
LEAST_STEPS = 1500
"""Three times the 510 steps after which runs were seen to improve still; see docs/science/training.md."""
UNRECORDED = {"cutouts_seen": None, "ema": 0.0, "label_smoothing": 0.0, "init_trained_on": None}
"""Settings that are recorded only where they differ from this, so that runs begun without them can be resumed."""
MOST_TEXT = 500
"""Longest `init_trained_on`, characters."""


@dataclass(frozen=True)
class TrainConfig:
    """The training recipe; every field is an option of `lensctl train` and is recorded in the provenance.

    Parameters
    ----------
    arch, dropout : network, and dropout before its last layer
    crop : int
        Side of the network's input, pixels.
    normalise : str
        One of normalise.KINDS.
    epochs, cutouts_seen, least_steps, samples_per_epoch : how long; see length.length_of
    batch_size, lr, lr_end, warmup, weight_decay, clip : AdamW, with cosine decay from `lr` to `lr_end` after
        linear warmup over the first `warmup` fraction of the steps; gradients clipped to norm `clip`
    ema : float
        Decay of the moving average of the weights that is judged and kept; 0 keeps the last weights instead. See
        averaging.Average.
    patience : int
        Epochs without improvement before training stops; see early_stopping.judge_epoch.
    pos_weight : float or "balanced"
        Factor on the weight of lenses; "balanced" gives both classes the same total weight.
    positive_share : float or "data"
        Fraction of lenses in each batch; "data" is theirs among the training rows. Not with a `pos_weight`.
    tier_b_target : float
        Target of tier B lenses in the loss.
    label_smoothing : float
        Targets of training are this much nearer to one half: t (1 - e) + e / 2. Those of val are not.
    rotate, flip, shift, noise, blur : see augment.Augmentation
    amp : bool
        Mixed precision on a GPU.
    calibrate_share : float
        Share of val's pixels that early stopping does not see, where val has LEAST_LENSES lenses: thresholds and
        calibration are of these alone.
    fold : str, optional
        K/N; see row_selection.Fold.
    without_ref : catalogues in `ref` whose lenses are excluded from training and validation
    init_trained_on : str, optional
        What the weights of `--init` were trained on, in words.
    ensemble : int
        Networks to train, with seeds seed, seed + 1, ...
    """

    arch: str = "resnet18"
    dropout: float = 0.0
    crop: int = 64
    normalise: str = "asinh"
    epochs: int | None = None
    cutouts_seen: int | None = None
    least_steps: int = LEAST_STEPS
    batch_size: int = 256
    lr: float = 1e-3
    lr_end: float = 1e-5
    warmup: float = 0.03
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.0
    patience: int = 8
    pos_weight: float | str = 1.0
    positive_share: float | str = 0.3
    samples_per_epoch: int | None = None
    tier_b_target: float = 1.0
    label_smoothing: float = 0.0
    rotate: bool = True
    flip: bool = True
    shift: int = 2
    noise: float = 0.05
    blur: float = 0.25
    amp: bool = True
    seed: int = 42
    fold: str | None = None
    calibrate_share: float = 0.5
    without_ref: tuple[str, ...] = ()
    init_trained_on: str | None = None
    ensemble: int = 1

    def __post_init__(self) -> None:
        for name, allowed in {"arch": tuple(ARCHITECTURES), "normalise": KINDS}.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"no {name} '{value}'{nearest(str(value), allowed)}", f"use {', '.join(allowed)}")
        for name, word in WORDS.items():
            if getattr(self, name) != word and not isinstance(getattr(self, name), int | float):
                raise _neither(word, getattr(self, name), name)
        for name, (low, high) in _RANGES.items():
            value = self.share if name == "positive_share" else getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise InputError(f"{name} = {value} is outside {low:g} to {high:g}", "see `lensctl train --help`")
        if self.crop < LEAST_CROP.get(self.arch, 0):
            raise InputError(
                f"a crop of {self.crop} px is too small for {self.arch}", f"use --crop {LEAST_CROP[self.arch]} or more"
            )
        if self.lr_end > self.lr:
            raise InputError(f"lr_end = {self.lr_end} is above lr = {self.lr}", "use lr_end <= lr")
        if self.cutouts_seen is not None and self.samples_per_epoch is not None:
            raise InputError("cutouts_seen and samples_per_epoch both say how long an epoch is", "give one of them")
        if self.init_trained_on is not None and not 0 < len(self.init_trained_on.strip()) <= MOST_TEXT:
            raise InputError(f"init_trained_on is not a text of 1 to {MOST_TEXT} characters", "name the data in words")
        if not isinstance(self.pos_weight, str) and not 0 < self.pos_weight < math.inf:
            raise InputError(
                f"pos_weight = {self.pos_weight} is not a valid weight", f"use a number above 0, or {BALANCED}"
            )
        if self.pos_weight != 1 and self.share is not None:
            raise InputError(
                f"pos_weight = {self.pos_weight} and positive_share = {self.positive_share} both favour lenses",
                f"give one of them: a weight with --positive-share {AS_IN_DATA}",
            )
        if self.fold is not None:
            Fold.parse(self.fold)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without settings that have no effect on this run and that older versions did not have."""
        idle = {name for name, off in UNRECORDED.items() if getattr(self, name) == off}
        if not self.has_floor:
            idle.add("least_steps")
        kept = {name: value for name, value in vars(self).items() if name not in idle}
        epochs = self.epochs if self.has_floor else self.epochs or EPOCHS
        return {**kept, "positive_share": self.share, "epochs": epochs, "without_ref": list(self.without_ref)}

    @property
    def share(self) -> float | None:
        """Fraction of lenses in each batch; None if it is that of the data."""
        return None if self.positive_share == AS_IN_DATA else float(self.positive_share)

    @property
    def has_floor(self) -> bool:
        """Whether `least_steps` has a say: nothing else says how long the run is."""
        return self.epochs is None and self.cutouts_seen is None and self.samples_per_epoch is None

    def length(self, rows: int) -> Length:
        """The length of a run on so many training rows."""
        return length_of(
            rows,
            self.batch_size,
            epochs=self.epochs,
            cutouts_seen=self.cutouts_seen,
            samples_per_epoch=self.samples_per_epoch,
            least_steps=self.least_steps,
        )

    @property
    def augmentation(self) -> Augmentation:
        """Augmentation of training cutouts."""
        return Augmentation(self.rotate, self.flip, self.shift, self.noise, self.blur)


def number_or(word: str, text: str, name: str) -> float | str:
    """Parse a setting that is a number or a word; InputError otherwise."""
    if text == word:
        return text
    try:
        return float(text)
    except ValueError as error:
        raise _neither(word, text, name) from error


def _neither(word: str, value: object, name: str) -> InputError:
    return InputError(f"{name} = {value} is neither a number nor '{word}'", "see `lensctl train --help`")


_RANGES: Mapping[str, tuple[float, float]] = {
    "dropout": (0, 0.95),
    "crop": (16, 1024),
    "epochs": (1, 10_000),
    "cutouts_seen": (2, 10**9),
    "least_steps": (0, 10**6),
    "ema": (0, 0.99999),
    "label_smoothing": (0, 0.5),
    "batch_size": (2, 65_536),
    "lr": (1e-12, 10),
    "lr_end": (0, 10),
    "warmup": (0, 1),
    "weight_decay": (0, 10),
    "clip": (1e-6, 1e6),
    "patience": (1, 10_000),
    "positive_share": (0.001, 0.999),
    "samples_per_epoch": (2, 10**9),
    "tier_b_target": (0.5, 1),
    "shift": (0, 5),
    "noise": (0, 0.1),
    "blur": (0, 1),
    "ensemble": (1, 100),
    "calibrate_share": (0, 0.9),
}
assert set(_RANGES) <= {field.name for field in fields(TrainConfig)}


@dataclass(frozen=True)
class Resources:
    """Where and how a run computes; may differ when a run is resumed.

    Parameters
    ----------
    device : auto, cpu or cuda
    threads : int, optional
        CPU threads; torch's own number if None. The count affects results by rounding, so it is part of the run's
        identity where it is given.
    feed : auto, device, host or stream
    host_bytes : int
        Free host memory.
    compiled : bool
        Use torch.compile.
    init : Path, optional
        Initial weights; their digest is part of the run's identity.
    checkpoint_every : int, optional
        Also save a checkpoint every N batches within an epoch.
    """

    device: str = "auto"
    threads: int | None = None
    feed: str = "auto"
    host_bytes: int = 4 << 30
    compiled: bool = False
    init: Path | None = None
    checkpoint_every: int | None = None
