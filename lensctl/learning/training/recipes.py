"""Recipes by name: the settings of training that go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError

DEFAULT, PLAN = "default", "plan"
RECIPES: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},
    PLAN: {
        "arch": "resnet18",
        "crop": 64,
        "normalise": "bands",
        "epochs": 30,
        "batch_size": 256,
        "lr": 1e-3,
        "lr_end": 1e-5,
        "weight_decay": 0.01,
        "ema": 0.0,
        "positive_share": "data",
        "label_smoothing": 0.0,
        "rotate": True,
        "flip": True,
        "shift": 5,
        "noise": 0.1,
        "blur": 0.5,
        "ensemble": 1,
    },
}
"""Settings by which a recipe differs, or might come to differ, from the defaults of `settings.TrainConfig`."""


def recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe; InputError if there is none of this name."""
    if name not in RECIPES:
        raise InputError(f"no recipe '{name}'{nearest(name, RECIPES)}", f"use {' or '.join(RECIPES)}")
    return dict(RECIPES[name])
