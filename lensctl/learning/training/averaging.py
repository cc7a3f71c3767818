"""A moving average of a network's weights, which scatters less from step to step than the weights do."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """The exponential moving average of a network's weights and batch-norm statistics.

    After step t it is w <- k w + (1 - k) weights with k = min(decay, (1 + t) / (10 + t)): without the second term,
    which TensorFlow's ExponentialMovingAverage has too, the random weights of the start would weigh on short runs.

    Parameters
    ----------
    network : nn.Module
        Followed from its weights at this moment; its tensors must be changed in place, as optimizers do.
    decay : float
        0 to 1; the average reaches back some 1 / (1 - decay) steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.network = copy.deepcopy(network).requires_grad_(False)
        pairs = list(zip(self.network.state_dict().values(), network.state_dict().values(), strict=True))
        self._mine = [mine for mine, _ in pairs if mine.is_floating_point()]
        self._its = [its for _, its in pairs if its.is_floating_point()]
        self._counted = [(mine, its) for mine, its in pairs if not mine.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights after a step."""
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._mine, self._its, weight=1.0 - keep)
        for mine, its in self._counted:
            mine.copy_(its)
