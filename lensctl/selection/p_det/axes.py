"""The axes of p_det: what the probability of detection is a function of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError
from lensctl.selection.p_det.quantities import quantity_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]

FEW_KNOTS, MANY_KNOTS = 5, 20
"""Knots of an axis, ends included; many where p_det may fall off a cliff."""

SEEING = "FWHM of the Gaussian with the PSF's noise-equivalent area"

NO_AXIS = "source_mag"
WHY_NO_AXIS = (
    "the injections end at a lensed magnitude, so that a fit on the unlensed one is censored at its faint end",
    "use arc_mag and magnification, and integrate over them",
)


@dataclass(frozen=True)
class Axis:
    """One axis.

    Parameters
    ----------
    name : str
        Column.
    log : bool
        Whether p_det is a function of its logarithm; values are given in natural units all the same.
    knots : int
    unit, meaning : str
    """

    name: str
    log: bool
    knots: int
    unit: str
    meaning: str

    @property
    def label(self) -> str:
        """For the axis of a plot."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


def _axis(name: str, meaning: str, knots: int = FEW_KNOTS) -> Axis:
    """An axis with the unit, and the logarithm, of the quantity that its name says."""
    quantity = quantity_of(name)
    if quantity is None:
        raise KeyError(name)
    return Axis(name, quantity.log, knots, quantity.unit, meaning)


def physical_axes(survey: Survey) -> tuple[Axis, ...]:
    """Axes of p_det(lens, source, host, observing conditions)."""
    band, deep = survey.detection_band, survey.depth_band
    colour, _ = survey.colour_columns
    return (
        _axis("theta_e", "Einstein radius"),
        _axis(f"arc_mag_{band}", "Lensed magnitude, extinguished"),
        _axis("magnification", f"Flux of all images over that of the source in {band}"),
        _axis(f"psfsize_{band}", SEEING, MANY_KNOTS),
        _axis(f"psfdepth_{band}", "Inverse variance of a point source"),
        _axis(f"mag_{deep}", "Magnitude of the lens galaxy"),
        _axis("shape_r", "Half-light radius of the lens galaxy"),
        _axis("source_r_half", "Half-light radius of the source along its major axis"),
        _axis(f"delta_{colour}", "Colour of the arcs less that of the lens galaxy, as observed"),
        _axis("source_n", "Sersic index of the source"),
        _axis("lens_q", "Axis ratio of the mass, minor over major"),
    )


def observable_axes(survey: Survey) -> tuple[Axis, ...]:
    """Axes of p_det as a function of what is measured on real and injected images alike."""
    bluest, band, deep = survey.bands[0], survey.detection_band, survey.depth_band
    colour, _ = survey.colour_columns
    return (
        _axis(f"obs_snr_{bluest}", "Score of the arcs in the difference image"),
        _axis("obs_theta_over_psf", f"Radius of the arcs over psfsize_{band}"),
        _axis("obs_contrast", "Brightness of the arcs over that of the lens galaxy there"),
        _axis(f"obs_delta_{colour}", "Colour of the arcs less that of the lens galaxy"),
        _axis(f"psfsize_{band}", SEEING, MANY_KNOTS),
        _axis(f"mag_{deep}", "Magnitude of the lens galaxy"),
    )


def tensors_of(axes: Sequence[Axis]) -> tuple[tuple[str, str], ...]:
    """Pairs of axes that act together: the radius with brightness and with seeing."""
    names = [axis.name for axis in axes]
    radius = next((name for name in names if name in ("theta_e", "obs_theta_over_psf")), None)
    others = [name for name in names if name.startswith(("arc_mag_", "psfsize_", "obs_snr_"))]
    return () if radius is None else tuple((radius, other) for other in others)


def chosen(axes: Sequence[Axis], names: Sequence[str]) -> tuple[Axis, ...]:
    """Axes by name, in the order given; InputError for one that is none, with the reason for source_mag."""
    known = {axis.name: axis for axis in axes}
    for name in names:
        if name.startswith(NO_AXIS):
            raise InputError(f"{name} is no axis of p_det: {WHY_NO_AXIS[0]}", WHY_NO_AXIS[1])
        if name not in known:
            raise InputError(f"no axis '{name}'{nearest(name, known)}", f"axes are {', '.join(known)}")
    return tuple(known[name] for name in names)


def transformed(axes: Sequence[Axis], values: Mapping[str, Floats]) -> Floats:
    """Values as p_det takes them: natural units by name, (N,) each, to (N, A) with logarithms taken.

    Raises InputError for a missing axis, source_mag, or a value that is no number, or not above 0 where it must be.
    """
    if any(name.startswith(NO_AXIS) for name in values):
        chosen(axes, [name for name in values if name.startswith(NO_AXIS)])
    missing = [axis.name for axis in axes if axis.name not in values]
    if missing:
        raise InputError(f"p_det needs {missing[0]}", f"give {', '.join(axis.name for axis in axes)}")
    columns = []
    for axis in axes:
        column = np.atleast_1d(np.asarray(values[axis.name], np.float64))
        wrong = ~np.isfinite(column) | (axis.log & (column <= 0))
        if wrong.any():
            what = "is not above 0" if axis.log else "is no number"
            raise InputError(
                f"{axis.name} {what} in {int(wrong.sum())} of {len(wrong)} rows, first in row {int(np.argmax(wrong))}",
                f"give {axis.meaning[:1].lower()}{axis.meaning[1:]}{f' in {axis.unit}' if axis.unit else ''}",
            )
        columns.append(np.log(column) if axis.log else column)
    return np.stack(columns, axis=1)
