"""What an axis of p_det measures: its unit, the values that it may have in it, and whether it is compared by ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """A quantity in its unit.

    Parameters
    ----------
    low, high : float
        No value of it lies beyond them.
    unit : str
        Empty where it has none.
    log : bool
        Whether its values are compared by ratio: p_det is a function of the logarithm.
    given_as : str
        What to give where there is no unit.
    below, above : str
        What values beyond `low` and `high` are likely to be.
    """

    low: float
    high: float
    unit: str
    log: bool = False
    given_as: str = ""
    below: str = "another unit"
    above: str = "another unit"

    @property
    def name(self) -> str:
        """What to give."""
        return self.given_as or self.unit


def _seen(unit: str = "", *, log: bool = False) -> Quantity:
    """A quantity measured by `observe`, which nobody gives in another unit."""
    return Quantity(-math.inf, math.inf, unit, log)


QUANTITIES: Mapping[str, Quantity] = {
    "theta_e": Quantity(0.05, 30, "arcsec", True, "", "radians or degrees", "milliarcsec"),
    "arc_mag_": Quantity(10, 40, "mag", False, "", "fluxes in nanomaggies", "fluxes"),
    "lensed_mag_": Quantity(10, 40, "mag", False, "", "fluxes in nanomaggies", "fluxes"),
    "mag_": Quantity(10, 30, "mag", False, "", "fluxes", "fluxes in nanomaggies"),
    "magnification": Quantity(0.9, 1e4, "", True, "a ratio of fluxes", "logarithms or magnitudes"),
    "psfsize_": Quantity(0.3, 4, "arcsec", True, "", "degrees", "pixels"),
    "psfdepth_": Quantity(1e-2, 1e7, "1/nanomaggy^2", True, "", "variances"),
    "shape_r": Quantity(1e-3, 60, "arcsec", True, "", "degrees", "milliarcsec or pixels"),
    "source_r_half": Quantity(1e-3, 10, "arcsec", True, "", "degrees", "milliarcsec"),
    "delta_": Quantity(-10, 10, "mag"),
    "source_n": Quantity(0.1, 12, "", False, "a Sersic index"),
    "lens_q": Quantity(0.05, 1, "", False, "an axis ratio, minor over major", "", "major over minor"),
    "obs_theta_over_psf": _seen(log=True),
    "obs_delta_": _seen("mag"),
    "obs_": _seen(),
}
"""By the beginning of an axis's name; the first that fits."""


def quantity_of(name: str) -> Quantity | None:
    """What a column of this name measures; None if that is not known."""
    return next((quantity for start, quantity in QUANTITIES.items() if name.startswith(start)), None)


def is_log(name: str) -> bool:
    """Whether a column of this name is compared by ratio."""
    quantity = quantity_of(name)
    return quantity is not None and quantity.log
