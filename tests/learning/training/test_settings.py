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
        ({"noise": 0.2}, "noise = 0.2 is outside 0 to 0.1"),
        ({"shift": 6}, "shift = 6 is outside 0 to 5"),
        ({"pos_weight": -1.0}, "pos_weight = -1.0 is not a valid weight"),
        ({"pos_weight": float("nan")}, "pos_weight = nan is not a valid weight"),
        ({"pos_weight": float("inf")}, "pos_weight = inf is not a valid weight"),
        ({"pos_weight": "balance"}, "pos_weight = balance is not a valid weight"),
        ({"fold": "6/5"}, "not a fold"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(setting, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**setting)
