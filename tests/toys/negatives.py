"""The negatives that a pool takes from one catalogue file, where there is no lens unless some are given."""

from __future__ import annotations

from lensctl.astro.lens_units import Lenses
from lensctl.io.tables.criteria import criteria_of
from lensctl.pool.select import select

NONE = Lenses((), ())


PLAN = criteria_of()


def kept(path, criteria=PLAN, lenses=NONE):
    """Rows that are kept, and the funnel."""
    return select(str(path), criteria, lenses)
