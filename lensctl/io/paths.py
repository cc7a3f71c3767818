"""Paths: one or several, as Python code gives them, and what they must not lead to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from lensctl.rules.errors import InputError

Paths = str | Path | Iterable[str | Path]


def listed(paths: Paths) -> list[str]:
    """One path, or several, as a list of texts."""
    return [str(paths)] if isinstance(paths, str | Path) else [str(path) for path in paths]


def refuse_device(path: str | Path) -> None:
    """Raise InputError for a device, a named pipe or a socket, or a link to one: even opening them can hang."""
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        return  # for whoever opens it to say
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise InputError(f"{path} is a device or a pipe, not a file", "name a file")
