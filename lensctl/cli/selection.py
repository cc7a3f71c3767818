"""`lensctl selection observe|measure`."""

from __future__ import annotations

from lensctl.cli import (
    selection_measure,  # noqa: F401
    selection_observe,  # noqa: F401
)
