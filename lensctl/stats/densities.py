"""Numbers of events per area, with the exact interval of a Poisson count (Garwood 1936, Biometrika 28, 437)."""

from __future__ import annotations

import math
from typing import Any

from lensctl.stats.intervals import FEW, LEVEL
from lensctl.stats.shares import rounded


def density(events: int, area_deg2: float, level: float = LEVEL) -> dict[str, Any]:
    """Events per square degree.

    Parameters
    ----------
    events : int
        Taken as independent of each other.
    area_deg2 : float

    Returns
    -------
    dict
        value, low, high, events, few (fewer than ten events), why (there is no value), text (what is known where
        nothing was counted); without events there is no value, only a bound.
    """
    from scipy.special import gammaincinv

    found = {"value": None, "low": None, "high": None, "events": events, "few": events < FEW, "why": "", "text": ""}
    if not area_deg2 > 0:
        return {**found, "why": "no area was searched"}
    if not events:
        most = rounded(-math.log1p(-level) / area_deg2)
        return {**found, "why": "none", "text": f"none in {area_deg2:.3g} deg²: below {most} at {100 * level:.3g} %"}
    low, high = gammaincinv(events, (1 - level) / 2), gammaincinv(events + 1, (1 + level) / 2)
    return {**found, "value": events / area_deg2, "low": float(low) / area_deg2, "high": float(high) / area_deg2}
