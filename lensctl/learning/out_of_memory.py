"""Detecting and reporting out-of-memory errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lensctl.rules.errors import InputError


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether this is torch.OutOfMemoryError from a GPU, or torch's error for host memory."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def enough_memory(fix: str) -> Iterator[None]:
    """Turn an out-of-memory error into an InputError with the given fix."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        what = "the device" if isinstance(error, torch.OutOfMemoryError) else "this machine"
        raise InputError(f"{what} ran out of memory", fix) from error
