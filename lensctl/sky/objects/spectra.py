"""Fluxes in the bands of any survey: the mock's colours are drawn in g, r and z, and spectra lead through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

ANCHORS_UM = (0.472, 0.642, 0.926)
"""Effective wavelengths of g, r and z."""

Flux = TypeVar("Flux", float, "NDArray[np.float64]")


def flux_at(wavelength_um: float, g: Flux, r: Flux, z: Flux) -> Flux:
    """Flux at a wavelength, of spectra with these fluxes (above 0) at the anchors.

    Exact at an anchor. The logarithm of the flux is linear in that of the wavelength between anchors, and has half
    the slope beyond the first and the last.
    """
    known = (g, r, z)
    if wavelength_um in ANCHORS_UM:
        return known[ANCHORS_UM.index(wavelength_um)]
    i = 0 if wavelength_um < ANCHORS_UM[1] else 1
    way = float(np.log(wavelength_um / ANCHORS_UM[i]) / np.log(ANCHORS_UM[i + 1] / ANCHORS_UM[i]))
    if way < 0:
        way /= 2
    elif way > 1:
        way = (1 + way) / 2
    flux: Flux = known[i] * (known[i + 1] / known[i]) ** way
    return flux


def fluxes(survey: Survey, g: Flux, r: Flux, z: Flux) -> dict[str, Flux]:
    """Columns flux_BAND in every band of the survey."""
    return {f"flux_{band}": flux_at(survey.imaging[band].wavelength_um, g, r, z) for band in survey.bands}


def shares(survey: Survey, at_anchors: Sequence[float]) -> list[float]:
    """Share of a galaxy's flux that a component has in each band, from that in g, r and z.

    Linear in the logarithm of the wavelength, so that the shares of all components still add up to 1; constant beyond
    the anchors.
    """
    wavelengths = [survey.imaging[band].wavelength_um for band in survey.bands]
    return [float(v) for v in np.interp(np.log(wavelengths), np.log(ANCHORS_UM), at_anchors)]


def bluest(survey: Survey) -> list[int]:
    """Places among the bands, by wavelength."""
    return sorted(range(len(survey.bands)), key=lambda i: survey.imaging[survey.bands[i]].wavelength_um)


def nearest(survey: Survey, wavelength_um: float) -> str:
    """The band whose wavelength is nearest, as a ratio."""
    return min(survey.bands, key=lambda band: abs(np.log(survey.imaging[band].wavelength_um / wavelength_um)))
