"""The moving average of weights: what its formula says, and close to the weights at the start."""

from __future__ import annotations

import pytest
import torch

from lensctl.learning.training.averaging import Average
from tests.toys import rings


def test_it_is_what_the_formula_says_step_by_step():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    average, expected = Average(network, 0.5), 0.0
    for step, value in enumerate((1.0, 3.0, -2.0, 5.0, 0.0, 4.0, 2.0, 2.0, 1.0, 0.5), start=1):
        torch.nn.init.constant_(network.weight, value)
        average.update()
        keep = min(0.5, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * value
        assert average.network.weight.item() == pytest.approx(expected, rel=1e-6)


def test_batch_norms_statistics_are_averaged_and_its_counter_is_taken():
    network = rings.tiny(3, 0.0).train()
    average = Average(network, 0.9)
    network(torch.randn(4, 3, 16, 16) + 2)
    average.update()
    mine, its = average.network.norm, network.norm
    torch.testing.assert_close(mine.running_mean, its.running_mean * (1 - 2 / 11))
    assert mine.num_batches_tracked == its.num_batches_tracked == 1


def test_it_learns_nothing_by_itself():
    average = Average(rings.tiny(3, 0.0), 0.9)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
