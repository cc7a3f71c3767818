"""`lensctl selection population|apply`."""

from __future__ import annotations

from lensctl.cli import (
    selection_apply,  # noqa: F401
    selection_population,  # noqa: F401
)
