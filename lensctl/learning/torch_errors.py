"""Reading files by torch, which does not check their bytes first."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from lensctl.rules.errors import LensctlError, first_line


class InvalidFile(Exception):
    """Torch cannot read a file: what it raised."""


@contextmanager
def unpickling() -> Iterator[None]:
    """Turn what torch raises into InvalidFile, except OSError.

    All of it, because bytes that are no model lead its unpickler to any exception, MemoryError included; naming them
    would leave some out.
    """
    log = logging.getLogger("torch.export")  # writes tracebacks of what it raises
    silent, log.disabled = log.disabled, True
    try:
        yield
    except (OSError, LensctlError):
        raise
    except Exception as error:
        kind = type(error).__name__
        reason = first_line(error, 120)
        raise InvalidFile(reason if reason == kind else f"{kind}: {reason}") from error
    finally:
        log.disabled = silent
