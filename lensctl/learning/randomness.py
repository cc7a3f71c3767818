"""Random numbers seeded by purpose, so that no generator state needs saving to resume."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np


def seed_of(*purpose: int | str) -> int:
    """A seed below 2**63 for one purpose, such as ("augment", seed, epoch, batch)."""
    text = ":".join(map(str, purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(*purpose: int | str) -> np.random.Generator:
    """A numpy generator for one purpose."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(seed_of(*purpose)))


def torch_generator(device: torch.device, *purpose: int | str) -> torch.Generator:
    """A torch generator for one purpose; its numbers differ between device types."""
    generator = torch.Generator(device)
    generator.manual_seed(seed_of(*purpose))
    return generator
