"""The negatives that a pool takes from one catalogue file, where there is no lens unless some are given."""

from __future__ import annotations

import numpy as np

from lensctl.pool.criteria import criteria_of
from lensctl.pool.select import select

NONE = np.zeros(0)


PLAN = criteria_of()


def kept(path, criteria=PLAN, lens_ra=NONE, lens_dec=NONE):
    """Rows that are kept, and the funnel."""
    return select(str(path), criteria, lens_ra, lens_dec)
