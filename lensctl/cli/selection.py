"""`lensctl selection observe|measure|fit|population|apply|attach`."""

from __future__ import annotations

from lensctl.cli import (
    selection_apply,  # noqa: F401
    selection_attach,  # noqa: F401
    selection_fit,  # noqa: F401
    selection_measure,  # noqa: F401
    selection_observe,  # noqa: F401
    selection_population,  # noqa: F401
)
