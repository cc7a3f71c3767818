"""Paths as Python code gives them: one, or several."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Paths = str | Path | Iterable[str | Path]


def listed(paths: Paths) -> list[str]:
    """One path, or several, as a list of texts."""
    return [str(paths)] if isinstance(paths, str | Path) else [str(path) for path in paths]
