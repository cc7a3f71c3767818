"""Maps of p_det over the Einstein radius and the magnitude of the arcs, as values and as FITS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.fits.new_files import new_fits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.selection.p_det.axes import Axis
    from lensctl.selection.p_det.detection import Detection

    Floats = NDArray[np.float64]

SIDE = 61
PLANES = ("p_det", "p_low", "p_high")


@dataclass(frozen=True)
class Map:
    """p_det over two axes, all others held.

    Attributes
    ----------
    across, up : Axis
        The Einstein radius, and the magnitude of the arcs.
    x : (X,) float64
        Values of `across` in natural units, at equal ratios.
    y : (Y,) float64
        Values of `up`, at equal steps.
    planes : dict of (Y, X) float64
        p_det, p_low and p_high: the probability and its 95 % interval, NaN outside the support.
    inside : (Y, X) bool
    held : tuple of (Axis, float)
        Every other axis and its value, in natural units: the median of the injections.
    """

    across: Axis
    up: Axis
    x: Floats
    y: Floats
    planes: dict[str, Floats]
    inside: NDArray[np.bool_]
    held: tuple[tuple[Axis, float], ...]


def map_of(detection: Detection, values: Mapping[str, Floats]) -> Map:
    """The map over what the injections span.

    Parameters
    ----------
    values : mapping of (N,) float64
        Axes of the injections that were fitted, in natural units.
    """
    across, up = detection.axes[:2]
    x = _steps(np.log(values[across.name]))
    y = _steps(values[up.name])
    held = tuple((axis, float(np.median(values[axis.name]))) for axis in detection.axes[2:])
    grid_x, grid_y = np.meshgrid(np.exp(x), y)
    rows = {across.name: grid_x.ravel(), up.name: grid_y.ravel()}
    rows |= {axis.name: np.full(grid_x.size, value) for axis, value in held}
    found = detection.predict(rows)
    inside = np.asarray(found.inside, bool).reshape(grid_x.shape)
    each = zip(PLANES, (found.p, found.low, found.high), strict=True)
    planes = {name: np.where(inside, plane.reshape(grid_x.shape), np.nan) for name, plane in each}
    return Map(across, up, np.exp(x), y, planes, inside, held)


def _steps(values: Floats) -> Floats:
    """Equal steps over what values span; one where they are all the same."""
    low, high = float(values.min()), float(values.max())
    return np.linspace(low, high, SIDE) if high > low else np.array([low])


def write_fits(path: Path, made: Map, *, threshold: str, model_digest: str, mock: bool, exploratory: bool) -> None:
    """Write a map as FITS, reproducible byte for byte.

    Four images of the same axes, P_DET (the first), P_LOW, P_HIGH and INSIDE (1 in the support of the injections, 0
    elsewhere, where the others are NaN), and a table HELD (axis, value, unit) of where every other axis was held. The
    axes are linear: the first is log10 of the Einstein radius in arcsec, the second the magnitude; CRVAL is at the
    middle of pixel CRPIX, and CDELT a step. THRESH names the threshold, MODEL the SHA-256 of the model's weights.

    Parameters
    ----------
    path : Path
        A file that there is not yet.
    """
    about = [
        *_axis(1, f"log10_{made.across.name}", np.log10(made.x), f"log10 of {made.across.label}"),
        *_axis(2, made.up.name, made.y, made.up.label),
        _card("CUNIT2", made.up.unit, "unit of the second axis"),
        _card("THRESH", threshold, "threshold of the frozen model"),
        _card("MODEL", model_digest.removeprefix("sha256:"), "SHA-256 of weights"),
        _card("MOCK", mock, "whether of a mock survey"),
        _card("EXPLORAT", exploratory, "whether a threshold was chosen afterwards"),
    ]
    images = {**made.planes, "inside": made.inside.astype(np.uint8)}
    held = np.array(
        [(axis.name, value, axis.unit) for axis, value in made.held],
        [("axis", "S32"), ("value", "f8"), ("unit", "S32")],
    )
    with new_fits(path) as file:
        for name, image in images.items():
            file.write(np.ascontiguousarray(image), extname=name.upper(), header=about)
        file.write_table(held, extname="HELD")


def _axis(number: int, name: str, values: Floats, meaning: str) -> list[dict[str, Any]]:
    """Keywords of a linear axis."""
    step = float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 1.0
    return [
        _card(f"CTYPE{number}", name, meaning),
        _card(f"CRPIX{number}", 1.0, "pixel of CRVAL"),
        _card(f"CRVAL{number}", float(values[0]), "value there"),
        _card(f"CDELT{number}", step, "step of a pixel"),
    ]


def _card(name: str, value: Any, comment: str) -> dict[str, Any]:
    return {"name": name, "value": value, "comment": comment}
