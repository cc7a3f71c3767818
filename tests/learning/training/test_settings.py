"""The settings of a run: one that makes no sense is refused, with the near one named."""

from __future__ import annotations

import pytest

from lensctl.learning.training.settings import TrainConfig
from lensctl.rules.errors import InputError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"arch": "resnet81"}, "did you mean 'resnet18'"),
        ({"normalise": "band"}, "did you mean 'bands'"),
        ({"epochs": 0}, "epochs = 0 is outside 1"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"arch": "convnext_nano", "crop": 31}, "a crop of 31 px is too small for convnext_nano"),
        ({"ema": 1.0}, "ema = 1.0 is outside 0 to 0.99999"),
        ({"label_smoothing": 0.6}, "label_smoothing = 0.6 is outside 0 to 0.5"),
        ({"least_steps": -1}, "least_steps = -1 is outside 0"),
        ({"noise": 0.2}, "noise = 0.2 is outside 0 to 0.1"),
        ({"shift": 6}, "shift = 6 is outside 0 to 5"),
        ({"pos_weight": -1.0}, "pos_weight = -1.0 is not a valid weight"),
        ({"pos_weight": float("nan")}, "pos_weight = nan is not a valid weight"),
        ({"pos_weight": float("inf")}, "pos_weight = inf is not a valid weight"),
        ({"pos_weight": "balance"}, "pos_weight = balance is neither a number nor 'balanced'"),
        ({"fold": "6/5"}, "not a fold"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(setting, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**setting)


def test_two_lengths_of_an_epoch_are_refused():
    with pytest.raises(InputError, match="cutouts_seen and samples_per_epoch both"):
        TrainConfig(cutouts_seen=1000, samples_per_epoch=100)


@pytest.mark.parametrize("text", ["", "  ", "x" * 501])
def test_what_weights_were_trained_on_is_a_text(text):
    with pytest.raises(InputError, match="init_trained_on is not a text"):
        TrainConfig(init_trained_on=text)


BEFORE = {
    "arch", "dropout", "crop", "normalise", "epochs", "batch_size", "lr", "lr_end", "warmup", "weight_decay", "clip",
    "patience", "pos_weight", "positive_share", "samples_per_epoch", "tier_b_target", "rotate", "flip", "shift",
    "noise", "blur", "amp", "seed", "fold", "calibrate_share", "without_ref", "ensemble",
}  # fmt: skip
"""Settings that runs of earlier versions recorded."""


@pytest.mark.parametrize("config", [TrainConfig(epochs=10), TrainConfig(samples_per_epoch=100)])
def test_a_run_begun_before_there_were_more_settings_is_still_the_same_run(config):
    assert set(config.as_dict()) == BEFORE
    assert config.as_dict()["epochs"] == config.length(1000).epochs


def test_what_has_an_effect_is_recorded():
    config = TrainConfig(cutouts_seen=500, ema=0.9, label_smoothing=0.1, init_trained_on="ImageNet-1k")
    assert set(config.as_dict()) - BEFORE == {"cutouts_seen", "ema", "label_smoothing", "init_trained_on"}
    assert set(TrainConfig().as_dict()) - BEFORE == {"least_steps"}
