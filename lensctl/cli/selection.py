"""`lensctl selection observe`."""

from __future__ import annotations

from lensctl.cli import (
    selection_observe,  # noqa: F401
)
