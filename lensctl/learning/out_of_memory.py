"""Want of memory, on whichever device: how it is known, and how it is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lensctl.rules.errors import InputError


def is_out_of_memory(error: RuntimeError) -> bool:
    """A GPU's torch.OutOfMemoryError, or what torch raises where the host has no more."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def enough_memory(fix: str) -> Iterator[None]:
    """For what cannot be done in smaller pieces: want of memory becomes an InputError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        what = "the device" if isinstance(error, torch.OutOfMemoryError) else "this machine"
        raise InputError(f"{what} ran out of memory", fix) from error
